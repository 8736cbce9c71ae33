"""Separating one track of a test set."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.audio import normalise, write_audio
from demucs.errors import DatasetError
from demucs.evaluation.facts import ModelFacts


class EvalTrack(Protocol):
    """A track with known stems, at the model's sample rate and number of channels."""

    @property
    def name(self) -> str:
        """Unique in its set."""

    def load(self) -> tuple[Tensor, Tensor]:
        """The mixture `[C, T]` and its stems `[S, C, T]`, in the order of the model's sources."""


@dataclass(frozen=True)
class How:
    """How tracks are separated."""

    shifts: int
    overlap: float
    split: bool
    device: str


def separate_track(
    model: nn.Module,
    mixture: Tensor,
    *,
    shifts: int = 1,
    overlap: float = 0.25,
    split: bool = True,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Tensor:
    """Separates `[C, T]` into `[S, C, T]`, with the normalisation that models are trained with.

    The mixture is shifted and scaled to zero mean and unit deviation of its mono version, and the
    stems are scaled and shifted back.
    """
    normal, mean, scale = normalise(mixture)
    stems = apply_model(
        model, normal[None], shifts=shifts, split=split, overlap=overlap, device=device, seed=seed
    )
    return stems[0] * scale + mean


def load_track(track: EvalTrack, facts: ModelFacts) -> tuple[Tensor, Tensor]:
    """The mixture `[C, T]` and stems `[S, C, T]`, checked.

    Raises:
        DatasetError: shapes that do not belong together, no samples, or NaN.
    """
    mixture, stems = track.load()
    wanted = (len(facts.sources), *mixture.shape)
    if mixture.dim() != 2 or mixture.shape[-1] == 0 or tuple(stems.shape) != wanted:
        raise DatasetError(
            f"the mixture is {list(mixture.shape)} and its stems {list(stems.shape)}, not "
            f"[channels, samples] and [{len(facts.sources)}, channels, samples]: "
            "give all of them the same length"
        )
    if not (mixture.isfinite().all() and stems.isfinite().all()):
        raise DatasetError("its audio holds NaN or infinity: replace the file")
    return mixture, stems


def save_stems(
    folder: str | os.PathLike[str], name: str, estimates: Tensor, facts: ModelFacts
) -> None:
    """Writes `[S, C, T]` as `folder/name/STEM.wav`, float32."""
    inside = Path(folder) / name.replace("/", "_").replace("\\", "_").lstrip(".")
    for source, estimate in zip(facts.sources, estimates, strict=True):
        path = inside / f"{source}.wav"
        write_audio(path, estimate, facts.samplerate, float32=True, clip="none")
