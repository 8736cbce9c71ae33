"""What tests of training share: a tiny dataset, and configurations of a tiny model."""

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

CONF = Path(__file__).resolve().parents[2] / "conf"
RATE = 8000
SOURCES = ("drums", "bass", "other", "vocals")
TINY = (
    "model=hdemucs",
    "hdemucs.channels=4",
    "hdemucs.nfft=256",
    "hdemucs.depth=4",
    f"dset.samplerate={RATE}",
    f"dset.musdb_samplerate={RATE}",
    "dset.segment=0.6",
    "dset.shift=0.1",
    "augment.repitch.proba=0",
    "augment.remix.group_size=2",
    "batch_size=2",
    "max_batches=3",
    "model_segment=1",
    "test.every=0",
    "misc.num_workers=0",
)


def write_songs(root: Path, **counts: int) -> Path:
    """Writes `ROOT/SPLIT/SPLITk/SOURCE.wav`, a second each: a tone a stem, and noise."""
    noise = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    for split, count in counts.items():
        for k in range(count):
            for place, source in enumerate(SOURCES):
                tone = np.sin(2 * np.pi * 60 * (place + 1) * (k + 1) * time)[:, None]
                wav = 0.1 * tone + 0.02 * noise.standard_normal((RATE, 2))
                path = root / split / f"{split}{k}" / f"{source}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wav.astype(np.float32), RATE, subtype="FLOAT")
    return root


def plain_config(*overrides: str) -> dict[str, Any]:
    """The configuration as `demucs.train` hands it over."""
    return copy.deepcopy(_composed(overrides))


@functools.cache  # it takes Hydra a third of a second, and tests of resuming ask again and again
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def tiny_config(songs: Path, *overrides: str) -> dict[str, Any]:
    places = (f"dset.musdb={songs}", f"dset.metadata={songs / 'metadata'}")
    return plain_config(*TINY, *places, *overrides)


def same(one: Any, other: Any) -> bool:
    """Equality of nested containers, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
