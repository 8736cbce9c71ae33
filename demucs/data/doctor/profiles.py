"""Spectral profiles of stems by name: energy in bands and its movement, over the dataset."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from demucs.audio.spectra import bin_hertz
from demucs.data.doctor.limits import (
    SILENCE_DBFS,
    SWAP_FIT,
    SWAP_RATIO,
    SWAP_SPREAD,
    SWAP_TRACKS,
)

Profile = NDArray[np.float64]
BANDS = 24
_LOW_HZ, _HIGH_HZ = 40.0, 16000.0
_FLOOR = 1e-5  # of a frame's energy: a band 50 dB below the whole is empty
_SILENCE = 10 ** (SILENCE_DBFS / 10)


class Profiler:
    """Gathers the profiles of several waves.

    Args:
        waves: how many.
        samplerate: Hz.
        hop: of the spectra, in samples.
    """

    def __init__(self, waves: int, samplerate: int, hop: int) -> None:
        edges = np.geomspace(_LOW_HZ, _HIGH_HZ, BANDS + 1)
        self._bins = np.searchsorted(bin_hertz(samplerate, hop), edges)
        self._frames = np.zeros(waves)
        self._sums = np.zeros((3, waves, BANDS))  # shares, their dB, and these squared

    def add(self, powers: NDArray[np.float32]) -> None:
        """Takes in squared magnitudes `[W, K, F]`."""
        end = min(int(self._bins[-1]), powers.shape[2])
        starts = self._bins[:-1][self._bins[:-1] < end]
        bands = np.zeros((*powers.shape[:2], BANDS))
        bands[:, :, : len(starts)] = np.add.reduceat(powers[:, :, :end], starts, axis=2)
        bands[:, :, np.diff(self._bins) == 0] = 0.0  # narrower than a bin
        whole = bands.sum(2)
        heard = whole > _SILENCE
        shares = np.where(heard[:, :, None], bands / np.maximum(whole, _SILENCE)[:, :, None], 0.0)
        levels = np.where(heard[:, :, None], 10 * np.log10(np.maximum(shares, _FLOOR)), 0.0)
        self._frames += heard.sum(1)
        self._sums += np.stack([shares.sum(1), levels.sum(1), np.square(levels).sum(1)])

    def profiles(self) -> list[Profile | None]:
        """`[2 * BANDS]` in dB of each wave: its mean spectrum, and the spread of each band.

        None for waves that are silent.
        """
        profiles: list[Profile | None] = []
        for wave, frames in enumerate(self._frames):
            if not frames:
                profiles.append(None)
                continue
            share, level, square = self._sums[:, wave] / frames
            spread = np.sqrt(np.maximum(square - level**2, 0.0))
            mean = 10 * np.log10(np.maximum(share, _FLOOR))
            profiles.append(np.concatenate([mean, spread]))
        return profiles


def distance(one: Profile, other: Profile) -> float:
    """Mean difference in dB."""
    return float(np.abs(one - other).mean())


def odd_ones(
    profiles: Sequence[Mapping[str, Profile]],
) -> list[tuple[int, str, str, float, float]]:
    """Stems that fit the profile of another name far better than their own.

    Args:
        profiles: of each track, by stem.

    Returns:
        Track, stem, the name it fits, distance to its own name's profile and to that one's, in dB.
    """
    names = sorted({name for track in profiles for name in track})
    held = {name: [track[name] for track in profiles if name in track] for name in names}
    usual = {n: np.median(rows, axis=0) for n, rows in held.items() if len(rows) >= SWAP_TRACKS}
    typical = {
        name: float(np.median([distance(row, usual[name]) for row in held[name]])) for name in usual
    }
    findings = []
    for index, track in enumerate(profiles):
        for name in [name for name in track if name in usual and len(usual) > 1]:
            own = distance(track[name], usual[name])
            near = {o: distance(track[name], usual[o]) for o in usual if o != name}
            other = min(near, key=lambda o: near[o])
            if (
                own > SWAP_SPREAD * typical[name]
                and near[other] < SWAP_RATIO * own
                and near[other] < SWAP_FIT * typical[other]
            ):
                findings.append((index, name, other, own, near[other]))
    return findings
