"""The output of one track: its signals, formats, tags, and standard output."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torch import Tensor

from demucs.api import Block
from demucs.audio import Encoding, StemFile, StemWriter
from demucs.audio.covers import read_cover
from demucs.audio.tags import read_tags, write_tags
from demucs.errors import AudioError
from demucs.separate.options import Options


def open_writer(
    file: Path,
    title: str,
    outputs: Mapping[str, Path],
    block: Block,
    samplerate: int,
    options: Options,
) -> StemWriter:
    """A writer of the stems of `file` into `outputs` (stem → file), with the tags of `file`.

    Args:
        title: of the track, in the comment of its stems.
        block: the first one, from which the length of the track is known.
        samplerate: of the stems, Hz.
    """
    tags, cover = read_tags(file), read_cover(file)
    files = {}
    for stem, path in outputs.items():
        note = f"{stem} of {title}, separated by Demucs ({options.model_name})"
        tag = partial(write_tags, tags=tags, stem=stem, note=note, cover=cover)
        files[stem] = StemFile(path, _encoding(path, options), tag)
    return StemWriter(files, samplerate, len(block.mixture), block.total, options.clip_mode)


def _encoding(path: Path, options: Options) -> Encoding:
    kind = path.suffix.lower()
    return Encoding(
        bits=24 if options.int24 or (kind == ".flac" and options.float32) else 16,
        float32=options.float32 and kind == ".wav",
        mp3_bitrate=options.mp3_bitrate,
        mp3_preset=options.mp3_preset,
    )


def signals(
    block: Block, sources: list[str], two_stems: str | None, other_method: str
) -> dict[str, Tensor]:
    """The signals to write, `[C, T]`: all stems, or the stem `two_stems` and the rest."""
    stems = dict(zip(sources, block.stems, strict=True))
    if two_stems is None:
        return stems
    stem, others = stems[two_stems], [wav for name, wav in stems.items() if name != two_stems]
    signals_to_write = {two_stems: stem}
    if other_method == "minus":
        signals_to_write[f"no_{two_stems}"] = block.mixture - stem
    elif other_method == "add":
        signals_to_write[f"no_{two_stems}"] = sum(others, start=stem * 0)
    return signals_to_write


@contextmanager
def destination(
    outputs: Mapping[str, Path], piped_as: str | None = None
) -> Iterator[Mapping[str, Path]]:
    """The files to write: `outputs`, or a temporary one that goes to standard output.

    Args:
        outputs: stem → file.
        piped_as: format, as an extension, of the only stem on standard output; None: files.

    Raises:
        AudioError: nobody reads standard output, or it is a terminal.
    """
    if piped_as is None:
        yield outputs
        return
    (stem,) = outputs
    if sys.stdout.isatty():
        raise AudioError("standard output is a terminal: pipe it, or name a folder with --out.")
    with tempfile.TemporaryDirectory(prefix="demucs-") as folder:
        path = Path(folder) / f"{stem}.{piped_as}"
        yield {stem: path}
        _copy_to_standard_output(path)


def _copy_to_standard_output(path: Path) -> None:
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except OSError as error:
        # Otherwise Python prints another error when it flushes standard output at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reason = f"standard output cannot be written: {error.strerror}. Name a folder with --out."
        if isinstance(error, BrokenPipeError):
            reason = "standard output was closed before the stem was written."
        raise AudioError(reason) from error
