"""The sounds of one player: files, their spectrograms, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demucs.audio import write_audio
from demucs.audio.levels import common_gain
from demucs.evaluation.metrics.nsdr import nsdr
from demucs.report.pictures import is_silent, levels, marks, write_picture

AUDIO, PICTURES = "audio", "spectrograms"
KEYS = "123456789abcdefghijknopqrstuvwxyz"  # without l (loop) and m (mixture)


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing to hear.

    Attributes:
        kind: `mixture`, `reference` or `estimate`.
        wav: `[C, T]`.
        stem: of references and estimates.
        run: number of the run that an estimate is of.
    """

    kind: str
    wav: Tensor
    stem: str = ""
    run: int | None = None


@dataclass(kw_only=True)
class Excerpt:
    """The signals of a player, of one length.

    Attributes:
        name: of the song.
        why: it was chosen.
        start: where it begins in the song, in seconds; None if that is not known.
        samplerate: Hz.
        run: number of the run that it was recorded of; None for one of all runs.
    """

    name: str
    why: str
    start: float | None
    samplerate: int
    signals: list[Signal]
    run: int | None = None
    notes: list[str] = field(default_factory=list)


def write_player(folder: Path, number: int, excerpt: Excerpt, taken: str = "") -> dict[str, Any]:
    """Writes files of an excerpt into `folder/audio` and `folder/spectrograms`.

    Integers saturate at full scale, so where a sample is beyond it all signals have one gain, which
    leaves them comparable.

    Args:
        taken: letters that mean something else on the page, and so are not keys.

    Returns:
        The player, for the page: names of files relative to `folder`, and what is said.
    """
    signals = _of_one_length(excerpt)
    gain = common_gain([signal.wav for signal in signals])
    notes = list(excerpt.notes)
    if gain < 1:
        decibels = 20 * torch.tensor(gain).log10().item()
        notes.append(
            f"all signals are {-decibels:.1f} dB softer than they are, since the loudest would "
            "clip; their balance is as it is"
        )
    pictures = [levels(signal.wav, excerpt.samplerate) for signal in signals]
    heard = [picture for picture in pictures if not is_silent(picture)]
    if is_silent(pictures[0]):
        notes.append(
            "the mixture is silent, so its spectrogram is black"
            + ("; those of the others start at the loudest of them" if heard else "")
        )
        loudest = max((float(picture.max()) for picture in heard), default=0.0)
    else:
        loudest = float(pictures[0].max())
    (folder / PICTURES).mkdir(exist_ok=True, parents=True)
    made = []
    keys = iter([key for key in KEYS if key not in taken.lower()])
    for index, (signal, picture) in enumerate(zip(signals, pictures, strict=True)):
        file = f"{number:02}_{index:02}_{signal.kind}"
        audio, image = f"{AUDIO}/{file}.flac", f"{PICTURES}/{file}.png"
        write_audio(folder / audio, signal.wav * gain, excerpt.samplerate, bits=16, clip="none")
        write_picture(folder / image, picture, loudest)
        made.append({
            "kind": signal.kind, "stem": signal.stem, "run": signal.run, "audio": audio,
            "picture": image, "key": "m" if signal.kind == "mixture" else next(keys, ""),
            "nsdr": _nsdr(signal, signals),
        })  # fmt: skip
    return {
        "name": excerpt.name,
        "why": excerpt.why,
        "start": excerpt.start,
        "run": excerpt.run,
        "seconds": signals[0].wav.shape[-1] / excerpt.samplerate,
        "signals": made,
        "stems": list(dict.fromkeys(signal.stem for signal in signals if signal.stem)),
        "marks": marks(excerpt.samplerate),
        "notes": notes,
    }


def _of_one_length(excerpt: Excerpt) -> list[Signal]:
    lengths = [signal.wav.shape[-1] for signal in excerpt.signals]
    if len(set(lengths)) > 1:
        excerpt.notes.append(
            f"the files have {min(lengths)} to {max(lengths)} samples: all are cut to the shortest"
        )
    return [
        Signal(
            kind=signal.kind, wav=signal.wav[:, : min(lengths)], stem=signal.stem, run=signal.run
        )
        for signal in excerpt.signals
    ]


def _nsdr(signal: Signal, signals: Sequence[Signal]) -> float | None:
    """nSDR in dB of an estimate; None without a reference, or if that is silent."""
    if signal.kind != "estimate":
        return None
    for other in signals:
        alike = other.kind == "reference" and other.stem == signal.stem
        if alike and other.wav.shape == signal.wav.shape and other.wav.any():
            return float(nsdr(other.wav[None, None], signal.wav[None, None]))
    return None
