"""Tiny songs, and a tiny model that separates them, for tests of the quality network."""

import math
from pathlib import Path

import numpy as np
import soundfile
import torch

from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release

RATE = 4000
STEMS = ("low", "high")


def write_songs(root: Path, *, train: int = 3, valid: int = 4, seconds: float = 3.0) -> Path:
    """ROOT/{train,valid}/NAME/{low,high}.wav; the second stem begins after a second."""
    noise = np.random.default_rng(0)
    t = np.arange(int(RATE * seconds)) / RATE
    for split, count in (("train", train), ("valid", valid)):
        for k in range(count):
            for place, stem in enumerate(STEMS, 1):
                tone = 0.2 * np.sin(2 * math.pi * 100 * place**3 * (1 + 0.1 * k) * t)
                wav = tone[:, None] + 0.02 * noise.standard_normal((len(t), 2))
                if stem == "high":
                    wav[:RATE] = 0
                path = root / split / f"{split}{k}" / f"{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wav.astype(np.float32), RATE, subtype="FLOAT")
    return root


def write_teacher(folder: Path, name: str, seed: int = 0) -> None:
    """A release with weights drawn by chance."""
    sizes = {"channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE, "segment": 1.0}
    spec = ModelSpec(name="hdemucs", kwargs={"sources": list(STEMS), **sizes})
    torch.manual_seed(seed)
    info = ReleaseInfo(signature=name, spec=spec, config={}, provenance={})
    folder.mkdir(parents=True, exist_ok=True)
    save_release(folder / f"{name}.safetensors", build_model(spec).state_dict(), info)
