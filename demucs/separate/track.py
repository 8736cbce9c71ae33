"""One track of the `demucs` command: read, separated and written block by block."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.api import Block, Separator
from demucs.audio import Encoding, StemFile, StemWriter
from demucs.audio.covers import read_cover
from demucs.audio.tags import read_tags, write_tags
from demucs.errors import AudioError
from demucs.separate.options import Options
from demucs.separate.progress import TrackProgress

_log = logging.getLogger(__name__)


def separate_track(
    separator: Separator,
    file: Path,
    title: str,
    outputs: Mapping[str, Path],
    options: Options,
    progress: TrackProgress,
) -> dict[str, Any]:
    """Separates `file` into `outputs` (stem → file), all of them or none.

    Args:
        title: what the track is called in the comment of its stems.

    Returns:
        Facts for the summary: `seconds` of audio and the `gain` of all stems but floats.

    Raises:
        AudioError: the file cannot be read, or a stem cannot be written.
    """
    blocks = separator.separate_blocks(file, consistency=options.consistency)
    block: Block | None = next(blocks)
    assert block is not None
    total, rate = block.total, separator.samplerate
    files = _files(file, title, outputs, options)
    with StemWriter(files, rate, len(block.mixture), total, options.clip_mode) as writer:
        while block is not None:
            writer.write(_choose(block, separator.sources, options))
            progress.update(block.end / rate, total / rate)
            del block  # not to be held while the next one is worked on
            block = next(blocks, None)
    if writer.gain < 1:
        _log.info("%s: all stems scaled by %.4f", title, writer.gain)
    return {"seconds": round(total / rate, 3), "gain": writer.gain}


def _files(
    file: Path, title: str, outputs: Mapping[str, Path], options: Options
) -> dict[str, StemFile]:
    tags, cover = read_tags(file), read_cover(file)
    files = {}
    for stem, path in outputs.items():
        note = f"{stem} of {title}, separated by Demucs ({options.model_name})"
        tag = partial(write_tags, tags=tags, stem=stem, note=note, cover=cover)
        files[stem] = StemFile(path, _encoding(path, options), tag)
    return files


def _encoding(path: Path, options: Options) -> Encoding:
    kind = path.suffix.lower()
    return Encoding(
        bits=24 if options.int24 or (kind == ".flac" and options.float32) else 16,
        float32=options.float32 and kind == ".wav",
        mp3_bitrate=options.mp3_bitrate,
        mp3_preset=options.mp3_preset,
    )


def _choose(block: Block, sources: list[str], options: Options) -> dict[str, Tensor]:
    """The signals to write: all stems, or one and what is left."""
    stems = dict(zip(sources, block.stems, strict=True))
    chosen = options.two_stems
    if chosen is None:
        return stems
    stem, others = stems[chosen], [wav for name, wav in stems.items() if name != chosen]
    wanted = {chosen: stem}
    if options.other_method == "minus":
        wanted[f"no_{chosen}"] = block.mixture - stem
    elif options.other_method == "add":
        wanted[f"no_{chosen}"] = sum(others, start=stem * 0)
    return wanted


@contextmanager
def standard_output(stem: str, extension: str) -> Iterator[dict[str, Path]]:
    """A temporary file for the only stem, copied to standard output once it is complete.

    Raises:
        AudioError: nobody reads standard output, or it is a terminal.
    """
    if sys.stdout.isatty():
        raise AudioError("standard output is a terminal: pipe it, or name a folder with --out.")
    with tempfile.TemporaryDirectory(prefix="demucs-") as folder:
        path = Path(folder) / f"{stem}.{extension}"
        yield {stem: path}
        try:
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except OSError as error:
            # Python would complain once more when it flushes what it cannot get rid of.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = (
                f"standard output cannot be written: {error.strerror}. Name a folder with --out."
            )
            if isinstance(error, BrokenPipeError):
                reason = "standard output was closed before the stem was written."
            raise AudioError(reason) from error
