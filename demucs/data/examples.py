"""Training examples, each a function of (seed, epoch, position) and of nothing else."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from demucs.data.augment import AugmentConfig, StemDraw, Stretch, draw_stems, draw_stretch
from demucs.data.checks import check_remix, check_segment
from demucs.data.epoch_plan import EpochPlan
from demucs.data.repitch import VOICES, Job, Repitcher, find_repitcher
from demucs.data.tracks import Track
from demucs.errors import ConfigError


@dataclass(frozen=True)
class Cut:
    """Where a stem of an example is read, how long, and how it is stretched after."""

    track: Track
    start: int
    frames: int
    stretch: Stretch | None


def segment_count(track: Track, segment: float, shift: float) -> int:
    """The number of segments of `segment` seconds, one every `shift`, the last one padded."""
    rest = max(0, track.frames - round(segment * track.samplerate))
    return 1 + -(-rest // round(shift * track.samplerate))


class TrainingSet(Dataset[Tensor]):
    """Segments of all tracks, shuffled, remixed and augmented.

    A track gives a segment of `segment` seconds every `shift` seconds, the last one padded; a
    track shorter than a segment gives one. An example is a random crop of `segment - shift`
    seconds.

    `dataset[epoch, position]` is `[S, C, T]`, T = `example_frames`; `len` is the number of
    examples in an epoch. The mixture is the sum over S.

    Args:
        tracks: all with the same sources, sample rate and channels.
        segment: seconds.
        shift: seconds, the stride between segments and the range of the random crop.
        seed: of the order and every augmentation.
        augment: what is done to examples.
        normalize: each track by the mean and deviation of its mixture.

    Raises:
        ConfigError: no or unlike tracks, a negative seed, segment not longer than shift, or a
            remix group larger than an epoch.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        segment: float = 11.0,
        shift: float = 1.0,
        seed: int = 42,
        augment: AugmentConfig | None = None,
        normalize: bool = True,
    ) -> None:
        kinds = {(track.sources, track.samplerate, track.channels) for track in tracks}
        if len(kinds) != 1:
            raise ConfigError(
                f"Training needs tracks of one kind (sources, Hz, channels), got {sorted(kinds)}: "
                "read all datasets with the same dset.sources, samplerate and channels"
            )
        self.tracks = list(tracks)
        self.sources, self.samplerate, self.channels = kinds.pop()
        check_segment(segment, shift, self.samplerate)
        self.segment_frames = round(segment * self.samplerate)
        self.shift_frames = round(shift * self.samplerate)
        self.example_frames = self.segment_frames - self.shift_frames
        self.augment = augment if augment is not None else AugmentConfig()
        self.normalize = normalize
        self.seed = _checked_seed(seed)
        counts = [segment_count(track, segment, shift) for track in self.tracks]
        self._ends = np.cumsum(counts)
        if self.augment.remix_proba > 0:
            check_remix(self.augment.remix_group, len(self))
        self._repitcher = find_repitcher() if self.augment.repitch_proba > 0 else None

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: tuple[int, int]) -> Tensor:
        return self.read(*self.cuts(*index))

    def cuts(self, epoch: int, position: int) -> tuple[list[Cut], list[StemDraw]]:
        """Where each stem of an example is read, and what happens to it after."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        origins = self._plan(epoch).origins(position)
        draws = [self._draw(epoch, origin, stem) for stem, origin in enumerate(origins)]
        cuts = [
            self._cut(epoch, origin, draw.offset)
            for origin, draw in zip(origins, draws, strict=True)
        ]
        return cuts, draws

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(S, C, T)` of an example."""
        return len(self.sources), self.channels, self.example_frames

    def read(
        self, cuts: Sequence[Cut], draws: Sequence[StemDraw], out: Tensor | None = None
    ) -> Tensor:
        """The example `[S, C, T]` that `cuts` describes, written into `out` if that is given."""
        out = torch.empty(self.shape) if out is None else out
        waiting: list[tuple[Tensor, StemDraw, Job]] = []
        for stem, cut, draw, source in zip(out, cuts, draws, self.sources, strict=True):
            wav = cut.track.read(source, cut.start, cut.frames)
            if cut.stretch is None:
                draw.into(stem, wav, *self._level(cut.track))
                continue
            wav = cut.track.normalize(wav) if self.normalize else wav
            job = Job(wav, cut.stretch, self.example_frames, speech=source in VOICES)
            waiting.append((stem, draw, job))
        if waiting and self._repitcher is not None:
            done = self._repitcher([job for _, _, job in waiting], self.samplerate)
            for (stem, draw, _), wav in zip(waiting, done, strict=True):
                draw.into(stem, wav)
        return out

    def with_seed(self, seed: int) -> "TrainingSet":
        """The same segments in the order and with the augmentation of another seed."""
        other = copy.copy(self)
        other.seed = _checked_seed(seed)
        return other

    def locate(self, segment: int) -> tuple[Track, int]:
        """The track of a segment, and its first frame there."""
        number = int(np.searchsorted(self._ends, segment, side="right"))
        first = int(self._ends[number - 1]) if number else 0
        return self.tracks[number], (segment - first) * self.shift_frames

    def _plan(self, epoch: int) -> EpochPlan:
        config = self.augment
        return _cached_plan(
            len(self), self.seed, epoch, len(self.sources), config.remix_group, config.remix_proba
        )

    def _draw(self, epoch: int, position: int, stem: int) -> StemDraw:
        """What happens to one stem of the (unmixed) item that stands at `position`."""
        return draw_stems(
            self.augment,
            seed=self.seed,
            epoch=epoch,
            position=position,
            stems=len(self.sources),
            shift=self.shift_frames,
        )[stem]

    def _cut(self, epoch: int, position: int, offset: int) -> Cut:
        """Where a stem of the item that stands at `position` is read, `offset` frames in."""
        segment = self._plan(epoch).segment(position)
        track, start = self.locate(segment)
        stretch = draw_stretch(self.augment, seed=self.seed, epoch=epoch, segment=segment)
        frames = self.example_frames
        if stretch is not None:
            frames = Repitcher.frames_needed(frames, stretch)
        return Cut(track, start + offset, frames, stretch)

    def _level(self, track: Track) -> tuple[float, float]:
        """What is subtracted from a track's samples, and what they are divided by."""
        return track.level if self.normalize else (0.0, 1.0)


@lru_cache(maxsize=4)
def _cached_plan(
    segments: int, seed: int, epoch: int, stems: int, group: int, remix_proba: float
) -> EpochPlan:
    return EpochPlan(
        segments, seed=seed, epoch=epoch, stems=stems, group=group, remix_proba=remix_proba
    )


def _checked_seed(seed: int) -> int:
    if seed < 0:
        raise ConfigError(f"seed={seed} must not be negative")
    return seed
