"""Folders of demo songs: named from a seed, written whole, recognised by their recipe, removed.

ROOT/{train,valid,test}/NAME/{mixture,drums,bass,other,vocals}.wav and demo.json, which records
what the song was made from.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from demucs.demo_songs.mastering import FULL_SCALE
from demucs.demo_songs.song import SPLITS, STEMS, render
from demucs.errors import DatasetError

FACTS_FILE = "demo.json"
FILES = ("mixture", *STEMS)
_PARTIAL = ".partial"  # suffix of folders in the making; they also start with a dot
_STALE_SECONDS = 3600.0  # after which such a folder is taken for abandoned

# Each split has colours of its own, so no name can be in two splits.
COLOURS = {
    "train": (
        "Amber", "Crimson", "Silver", "Golden", "Copper", "Ivory", "Scarlet", "Indigo", "Emerald",
        "Violet", "Cobalt", "Russet", "Olive", "Pearl", "Ochre", "Sable", "Coral", "Jade",
    ),
    "valid": ("Azure", "Maroon", "Lilac", "Bronze", "Umber", "Teal"),
    "test": ("Saffron", "Turquoise", "Magenta", "Slate", "Hazel", "Cerulean"),
}  # fmt: skip
PLACES = (
    "Harbour", "Avenue", "Meadow", "Station", "Lantern", "River", "Window", "Garden", "Bridge",
    "Island", "Orchard", "Tower", "Valley", "Market", "Shore", "Forest", "Railway", "Canyon",
    "Rooftop", "Lighthouse", "Boulevard", "Mirror", "Desert", "Fountain", "Castle", "Prairie",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a song depends on: equal recipes give equal songs."""

    version: int
    seed: int
    split: str
    index: int
    seconds: float
    samplerate: int
    kind: str = "studio"

    def facts(self) -> dict[str, Any]:
        """The recipe in `demo.json`, without a kind if that is `studio`, as in older songs."""
        return {key: v for key, v in asdict(self).items() if key != "kind" or v != "studio"}

    def folder(self, root: Path) -> Path:
        return root / self.split / song_name(self.seed, self.split, self.index)


def song_name(seed: int, split: str, index: int) -> str:
    """A folder name like `Demo 007 - Amber Harbour`; the number is index + 1."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, list(COLOURS).index(split), index)))
    colours = COLOURS[split]
    colour, place = colours[rng.integers(len(colours))], PLACES[rng.integers(len(PLACES))]
    return f"Demo {index + 1:03d} - {colour} {place}"


def write_song(folder: Path, recipe: Recipe) -> Path:
    """Synthesises one song into a folder beside, then renames that to `folder`."""
    stems, facts = render(
        recipe.seed, recipe.split, recipe.index, recipe.seconds, recipe.samplerate, recipe.kind
    )
    partial = _hidden(folder)
    try:
        for name in FILES:
            samples = (stems[name].T * FULL_SCALE).astype(np.int16)
            soundfile.write(str(partial / f"{name}.wav"), samples, recipe.samplerate, "PCM_16")
        text = json.dumps({"recipe": recipe.facts(), "music": facts}, indent=2)
        (partial / FACTS_FILE).write_text(text + "\n", encoding="utf-8")
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o777 & ~umask)  # a temporary folder is private; songs are to be read
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def complete(folder: Path, recipe: Recipe) -> bool:
    """Whether the folder holds this recipe's song with all its files at full length."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        infos = [soundfile.info(str(folder / f"{name}.wav")) for name in FILES]
    except (OSError, ValueError, soundfile.SoundFileError):
        return False
    frames = round(recipe.seconds * recipe.samplerate)
    return facts.get("recipe") == recipe.facts() and all(info.frames == frames for info in infos)


def clear(root: Path, wanted: Mapping[Path, Recipe]) -> None:
    """Removes demo songs that are not wanted as they are, and what killed runs left behind.

    Raises:
        DatasetError: a folder with the name of a wanted song is not a demo song. Nothing is
            removed then.
    """
    for folder in wanted:
        if folder.exists() and not (folder / FACTS_FILE).is_file():
            raise DatasetError(
                f"{folder} has no {FACTS_FILE}, so it is not a demo song and is not replaced: "
                "move it away, or give another folder"
            )
    for split in SPLITS:
        if not (root / split).is_dir():
            continue
        for folder in sorted((root / split).iterdir()):
            if folder.is_symlink() or not folder.is_dir():
                continue
            if folder.name.startswith(".") and folder.name.endswith(_PARTIAL):
                if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
            elif (folder / FACTS_FILE).is_file() and not (
                folder in wanted and complete(folder, wanted[folder])
            ):
                hidden = _hidden(folder)
                folder.rename(hidden / folder.name)  # at once, so that nobody sees half a song
                shutil.rmtree(hidden)


def _hidden(folder: Path) -> Path:
    """A new folder beside, which readers of datasets pass over."""
    name = tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PARTIAL, dir=folder.parent)
    return Path(name)
