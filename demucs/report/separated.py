"""Excerpts to play: separated now by a run's release, or recordings in a folder of results."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demucs.audio import read_audio
from demucs.data.metadata import match_channels
from demucs.data.readers import MIXTURE, STEM_SUFFIX, StemFile, TrackReader, WavFolder
from demucs.errors import AudioError, ConfigError, DatasetError, DemucsError
from demucs.evaluation.separation import separate_track
from demucs.report.liveliest import busiest
from demucs.report.run_files import Run
from demucs.report.sound import Excerpt, Signal

MARGIN = 2.0  # seconds separated before and after the excerpt, so that its ends are as good


@dataclass(frozen=True, kw_only=True)
class Span:
    """The part of a song that is played: `seconds` from `start`, or the busiest ones."""

    seconds: float = 20.0
    start: float | None = None


def songs_folder(given: str | None, runs: Sequence[Run]) -> tuple[Path | None, str]:
    """The folder of the test songs, and why there is none.

    It is what is given, else $DEMUCS_MUSDB, else where a run learnt from, as its release has it
    (a configuration that Hydra saved may name the variable instead of the place).

    Raises:
        DatasetError: a folder is given that does not exist.
    """
    if given:
        root = Path(given).expanduser()
        if not root.is_dir():
            raise DatasetError(f"There is no folder {root} (from --musdb): give that of the songs.")
        return _inside(root), ""
    candidates = {"DEMUCS_MUSDB": os.environ.get("DEMUCS_MUSDB")}
    for run in runs:
        released = (run.info or {}).get("config")
        for place, config in (("release", released), ("configuration", run.config)):
            dset = config.get("dset") if isinstance(config, Mapping) else None
            if isinstance(dset, Mapping):
                key = "musdb" if dset.get("use_musdb", True) else "wav"
                candidates[f"the {place} of {run.name}"] = dset.get(key)
    remedy = "give the folder of the test songs with --musdb PATH"
    reasons = []
    for source, value in candidates.items():
        if value and "${" not in str(value):
            root = Path(str(value)).expanduser()
            if root.is_dir():
                return _inside(root), ""
            reasons.append(f"the songs of {source} ({root.name}) are not here")
    return None, f"{'; '.join(reasons) or 'it is not known where the test songs are'}: {remedy}"


def _inside(root: Path) -> Path:
    return root / "test" if (root / "test").is_dir() else root


def song_names(folder: Path) -> list[str]:
    """The songs in a folder, sorted."""
    return sorted(
        path.name.removesuffix(STEM_SUFFIX)
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.name.endswith(STEM_SUFFIX))
    )


def _reader(folder: Path, name: str) -> TrackReader:
    stem_file = folder / f"{name}{STEM_SUFFIX}"
    is_stem = stem_file.exists() and not (folder / name).is_dir()
    return StemFile(stem_file) if is_stem else WavFolder(folder / name)


def separate_excerpt(
    folder: Path, name: str, why: str, models: Mapping[int, tuple[Run, nn.Module]], span: Span
) -> Excerpt:
    """Reads a song, separates its span with each model.

    Args:
        models: by the number of the run.

    Raises:
        DemucsError: the song cannot be read, or no model fits it; the message says why.
    """
    first: Any = next(iter(models.values()))[1]
    rate, channels = int(first.samplerate), int(first.audio_channels)
    reader = _reader(folder, name)
    stems = list(dict.fromkeys(stem for _, model in models.values() for stem in _sources(model)))
    present = [stem for stem in stems if stem in reader.sources]
    if not present:
        raise DatasetError(f"{name} has none of the stems {', '.join(stems)}")
    header = reader.header(present[0])
    if header.samplerate != rate:
        raise DatasetError(f"{name} is at {header.samplerate} Hz, and the model at {rate} Hz")
    truth = {stem: match_channels(reader.read(stem), channels) for stem in present}
    length = min(wav.shape[-1] for wav in truth.values())
    truth = {stem: wav[:, :length] for stem, wav in truth.items()}
    start, frames = _samples_of(span, list(truth.values()), rate, name)
    if MIXTURE in reader.sources:
        mixture = match_channels(reader.read(MIXTURE), channels)[:, :length]
    else:
        mixture = torch.stack(list(truth.values())).sum(0)
    part = slice(start, start + frames)
    signals = [Signal(kind="mixture", wav=mixture[:, part])]
    estimates: dict[tuple[int, str], Tensor] = {}
    notes = []
    for index, (run, model) in models.items():
        if int(getattr(model, "samplerate", 0)) != rate:
            notes.append(f"{run.name} is left out: its sample rate is another one")
            continue
        estimates_of_run = _separate(mixture, start, frames, run, model, rate)
        for stem, wav in zip(_sources(model), estimates_of_run, strict=True):
            estimates[index, stem] = wav
    for stem in stems:
        if stem in truth:
            signals.append(Signal(kind="reference", stem=stem, wav=truth[stem][:, part]))
        signals += [
            Signal(kind="estimate", stem=stem, run=index, wav=wav)
            for (index, estimated), wav in estimates.items()
            if estimated == stem
        ]
    return Excerpt(name=name, why=why, start=start / rate, samplerate=rate, signals=signals,
                   notes=notes)  # fmt: skip


def _sources(model: Any) -> list[str]:
    return [str(stem) for stem in model.sources]


def _samples_of(span: Span, stems: Sequence[Tensor], rate: int, name: str) -> tuple[int, int]:
    """First sample and number of samples."""
    length = stems[0].shape[-1]
    if length == 0:
        raise AudioError(f"{name} holds no samples")
    frames = min(length, max(1, round(span.seconds * rate)))
    if span.start is None:
        return min(busiest(stems, rate, span.seconds), length - frames), frames
    start = round(span.start * rate)
    if start >= length:
        raise ConfigError(f"--start {span.start:g}: {name} ends at {length / rate:.1f} s")
    return start, min(frames, length - start)


def _separate(
    mixture: Tensor, start: int, frames: int, run: Run, model: nn.Module, rate: int
) -> Tensor:
    """`[S, C, T]` of the span, as the run was evaluated; the margins are cut off again."""
    margin = round(MARGIN * rate)
    first = max(0, start - margin)
    settings = run.results.settings if run.results else {}
    estimates = separate_track(
        model,
        mixture[:, first : start + frames + margin],
        shifts=int(settings.get("shifts", 1)),
        overlap=float(settings.get("overlap", 0.25)),
        split=bool(settings.get("split", True)),
    )
    return estimates[..., start - first : start - first + frames]


def recorded_excerpt(folder: Path, index: int, run: Run, span: Span) -> Excerpt:
    """An excerpt from a folder with `mixture.*`, `STEM_estimate.*`, `STEM_reference.*`.

    Args:
        folder: holds the files.
        index, run: which run they are of; its stems come in its order.
        span: a longer recording is cut to it.

    Raises:
        DemucsError: a file cannot be read, or the files do not belong together.
    """
    files = {path.stem: path for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    endings = ("_estimate", "_reference")
    wanted = [name for name in files if name == "mixture" or name.endswith(endings)]
    read = {name: read_audio(files[name]) for name in wanted}
    rates = {rate for _, rate in read.values()}
    if len(rates) > 1:
        raise AudioError(f"{folder.name} has files of several sample rates: {sorted(rates)} Hz")
    rate = rates.pop()
    names = sorted({name.rpartition("_")[0] for name in wanted if name != "mixture"})
    order = run.results.sources if run.results else []
    stems = [stem for stem in order if stem in names] + [s for s in names if s not in order]
    signals = [Signal(kind="mixture", wav=read["mixture"][0])]
    for stem in stems:
        for kind in ("reference", "estimate"):
            if (name := f"{stem}_{kind}") in read:
                owner = index if kind == "estimate" else None
                signals.append(Signal(kind=kind, stem=stem, run=owner, wav=read[name][0]))
    length = min(signal.wav.shape[-1] for signal in signals)
    cut = [signal.wav[:, :length] for signal in signals[1:]] or [signals[0].wav]
    start, frames = _samples_of(span, cut, rate, folder.name)
    part = slice(start, start + frames)
    shown = [
        Signal(kind=signal.kind, stem=signal.stem, run=signal.run, wav=signal.wav[:, part])
        for signal in signals
    ]
    name = "Recorded excerpt" if folder.name == "audio" else folder.name
    return Excerpt(name=name, why="separated earlier, in the folder of the results", start=None,
                   samplerate=rate, signals=shown, run=index)  # fmt: skip


def load_models(
    runs: Sequence[Run], failed: Callable[[Run, str], None]
) -> dict[int, tuple[Run, nn.Module]]:
    """The models of the releases there are, by the number of the run."""
    from demucs.pretrained import get_model

    models = {}
    for index, run in enumerate(runs):
        if run.release is not None:
            try:
                models[index] = (run, get_model(run.release.stem, run.release.parent))
            except DemucsError as error:
                failed(run, f"its release cannot be loaded: {error}")
    return models
