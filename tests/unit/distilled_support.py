"""A pseudo-labelled set for tests: songs, and what is predicted of their stems."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from training_support import RATE, SOURCES, write_songs

from demucs.data.distilled import FORMAT, LABELS_FILE

WINDOW = 0.1


def labels(windows: Any, active: Any, sources: Any = SOURCES) -> dict[str, Any]:
    """What a song's `distilled.json` holds of what is read here."""
    quality = {
        "sources": list(sources),
        "window": WINDOW,
        "windows": windows,
        "active_windows": active,
    }
    return {"format": FORMAT, "quality": quality}


def write_distilled(root: Path, songs: int = 2) -> Path:
    """Songs of a second in ten windows; vocals are silent in the last eight, drums worth 0 dB."""
    write_songs(root, train=songs)
    for song in (root / "train").iterdir():
        stems = [soundfile.read(song / f"{source}.wav")[0] for source in SOURCES]
        soundfile.write(song / "mixture.wav", np.sum(stems, axis=0), RATE, subtype="FLOAT")
        windows = np.tile(np.array([0.0, 5.0, 10.0, 20.0])[:, None], (1, 10))
        active = np.ones((4, 10))
        active[3, 2:] = 0.05
        content = labels(windows.tolist(), active.tolist())
        (song / LABELS_FILE).write_text(json.dumps(content))
    return root
