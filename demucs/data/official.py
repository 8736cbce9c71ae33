"""The official MUSDB18 lists: validation songs, and the order of streams in a stem file.

Both are read from the configuration file inside the `musdb` package. The package itself is not
imported for it, because its import needs ffmpeg, which a folder of wav files does not. The names of
the test songs, which it does not have, are written down here.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml

from demucs.errors import MissingToolError


@lru_cache(maxsize=1)
def _musdb_config() -> dict[str, Any]:
    spec = importlib.util.find_spec("musdb")
    if spec is None or not spec.submodule_search_locations:
        raise MissingToolError(
            "The Python package musdb, which holds the official MUSDB18 split, is not installed: "
            "pip install musdb"
        )
    path = Path(spec.submodule_search_locations[0]) / "configs" / "mus.yaml"
    if not path.is_file():
        raise MissingToolError(
            f"The installed musdb package has no {path}: pip install --force-reinstall musdb"
        )
    return cast(dict[str, Any], yaml.safe_load(path.read_text(encoding="utf-8")))


def validation_names() -> frozenset[str]:
    """Names of the songs of `train` that MUSDB18 sets aside for validation.

    Raises:
        MissingToolError: the musdb package is not installed.
    """
    return frozenset(_musdb_config()["validation_tracks"])


def stem_streams() -> dict[str, int]:
    """Number of the audio stream that holds each source (and `mixture`) in a `.stem.mp4`.

    Raises:
        MissingToolError: the musdb package is not installed.
    """
    return dict(_musdb_config()["stem_ids"])


TEST_NAMES = frozenset(
    """
Al James - Schoolboy Facination
AM Contra - Heart Peripheral
Angels In Amplifiers - I'm Alright
Arise - Run Run Run
Ben Carrigan - We'll Talk About It All Tonight
BKS - Bulldozer
BKS - Too Much
Bobby Nobody - Stitch Up
Buitraker - Revo X
Carlos Gonzalez - A Place For Us
Cristina Vane - So Easy
Detsky Sad - Walkie Talkie
Enda Reilly - Cur An Long Ag Seol
Forkupines - Semantics
Georgia Wonder - Siren
Girls Under Glass - We Feel Alright
Hollow Ground - Ill Fate
James Elder & Mark M Thompson - The English Actor
Juliet's Rescue - Heartbeats
Little Chicago's Finest - My Own
Louis Cressy Band - Good Time
Lyndsey Ollard - Catching Up
M.E.R.C. Music - Knockout
Moosmusic - Big Dummy Shake
Motor Tapes - Shore
Mu - Too Bright
Nerve 9 - Pray For The Rain
PR - Happy Daze
PR - Oh No
Punkdisco - Oral Hygiene
Raft Monk - Tiring
Sambasevam Shanmugam - Kaathaadi
Secretariat - Borderline
Secretariat - Over The Top
Side Effects Project - Sing With Me
Signe Jakobsen - What Have You Done To Me
Skelpolu - Resurrection
Speak Softly - Broken Man
Speak Softly - Like Horses
The Doppler Shift - Atrophy
The Easton Ellises (Baumi) - SDRNR
The Easton Ellises - Falcon 69
The Long Wait - Dark Horses
The Mountaineering Club - Mallory
The Sunshine Garcia Band - For I Am The Moon
Timboz - Pony
Tom McKenzie - Directions
Triviul feat. The Fiend - Widow
We Fell From The Sky - Not You
Zeno - Signs
""".strip().splitlines()
)
