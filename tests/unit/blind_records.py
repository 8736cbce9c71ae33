"""Synthetic records whose statistics are known: what the tests of calibration and study use."""

from collections.abc import Sequence

import numpy as np

from demucs.blind.records import Measures, Record

SOURCES = ("drums", "bass", "other", "vocals")
WINDOWS = 6


def make_records(
    *,
    songs: int = 20,
    teachers: Sequence[tuple[str, str]] = (("one_1", "one"), ("one_2", "one"), ("two_1", "two")),
    kind: str = "studio",
    split: str = "valid",
    seed: int = 0,
    noise: float = 0.5,
    by_level: float = 0.5,
    sdr: bool = False,
    network: bool = False,
) -> list[Record]:
    """Records with a true nSDR of a normal part plus `by_level` · the stem's level in dB.

    `reseparation` is the truth with `noise` dB of deviation, `polarity` 0.8 of it with thrice the
    noise, `level` the level, `swap` the level with a little noise (it only knows loudness), and
    `noise` nothing at all. In each song one stem rests in the first window, and in each fifth
    song altogether.
    """
    random = np.random.default_rng([seed, len(split), len(kind)])
    found = []
    for song in range(songs):
        loud = random.normal(-20, 3, 4)
        for number, (teacher, family) in enumerate(teachers):
            shape = (4, 1 + WINDOWS)  # the song first
            level = loud[:, None] + random.normal(0, 2, shape) * (np.arange(1 + WINDOWS) > 0)
            truth = by_level * (level + 20) + random.normal(0, 2, shape) + 2 * number
            silent = np.zeros(shape, bool)
            silent[song % 4, 1] = True
            if song % 5 == 4:
                silent[song % 4] = True
            level[silent], truth[silent] = -100.0, np.nan
            seen = np.where(silent, -75 + random.normal(0, 3, shape), level)
            scores = {
                "reseparation": np.nan_to_num(truth) + random.normal(0, noise, shape),
                "polarity": 0.8 * np.nan_to_num(truth) + random.normal(0, 3 * noise, shape),
                "swap": np.where(silent, np.nan, seen + random.normal(0, 0.3, shape)),
                "gain": np.full(shape, 80.0),
                "noise": random.normal(0, 1, shape),
                "level": seen,
                "level_gap": seen - seen.mean(0),
                "active_share": (seen > -40) * 1.0,
            }
            if network:
                scores["network"] = np.nan_to_num(truth) + random.normal(0, 1, shape)
            truths = {"nsdr": truth, "level": level} | ({"sdr": truth + 1} if sdr else {})
            found.append(
                Record(
                    track=f"{kind} {split} {song}",
                    kind=kind,
                    split=split,
                    teacher=teacher,
                    family=family,
                    seconds=float(WINDOWS),
                    sources=SOURCES,
                    window=1.0,
                    scores={name: _measures(one) for name, one in scores.items()},
                    truth={name: _measures(one) for name, one in truths.items()},
                )
            )
    return found


def _measures(values: np.ndarray) -> Measures:
    return Measures(track=values[:, 0].copy(), windows=values[:, 1:].copy())
