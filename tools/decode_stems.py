"""Decodes MUSDB18 `.stem.mp4` files into the wav folders of MUSDB18-HQ, which train faster.

    python3 -m tools.decode_stems SRC DST

SRC is a folder (searched in depth, its structure is kept) or one stem file; a track becomes
`DST/.../NAME/{mixture,drums,bass,other,vocals}.wav`. Files that are already there and not older
than their stem file are skipped, so an interrupted run resumes where it stopped.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile

from demucs.console import bar
from demucs.data.readers import STEM_SUFFIX, StemFile
from demucs.errors import DatasetError, DemucsError, message_of
from demucs.files import atomic_path, check_tree
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors


def find_stem_files(source: Path) -> list[tuple[Path, Path]]:
    """Pairs of a stem file and the folder of its track, relative to the destination.

    Raises:
        DatasetError: `source` does not exist or holds no stem file.
    """
    if source.is_file() and source.name.endswith(STEM_SUFFIX):
        return [(source, Path(StemFile(source).name))]
    if not source.exists():
        raise DatasetError(f"{source} does not exist: give a {STEM_SUFFIX} file or a folder")
    check_tree(source)
    files = sorted(f for f in source.rglob(f"*{STEM_SUFFIX}") if not f.name.startswith("."))
    if not files:
        raise DatasetError(f"{source} holds no {STEM_SUFFIX} file: give the folder of MUSDB18")
    return [(file, file.parent.relative_to(source) / StemFile(file).name) for file in files]


def decode(file: Path, folder: Path, *, subtype: str = "PCM_16") -> tuple[int, int]:
    """Writes the sources of a stem file as wav files into `folder`.

    Returns:
        How many files were written, and how many of their samples were beyond ±1 and clipped:
        AAC overshoots a little, and integers cannot.

    Raises:
        AudioError: the file cannot be decoded.
        MissingToolError: ffmpeg is not installed.
    """
    reader, written, clipped = StemFile(file), 0, 0
    for source in reader.sources:
        target = folder / f"{source}.wav"
        if target.exists() and target.stat().st_mtime >= file.stat().st_mtime:
            continue
        samplerate = reader.header(source).samplerate
        wav = reader.read(source)
        with atomic_path(target) as temporary:
            soundfile.write(str(temporary), wav.T.numpy(), samplerate, subtype=subtype)
        written += 1
        if subtype != "FLOAT":
            clipped += int((wav.abs() > 1).sum())
    return written, clipped


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = make_parser("tools.decode_stems", __doc__)
    parser.add_argument("src", type=Path, help=f"folder with {STEM_SUFFIX} files, or one of them")
    parser.add_argument("dst", type=Path, help="folder for the wav files")
    parser.add_argument(
        "--float32", action="store_true", help="32-bit float instead of 16-bit integer: exact"
    )
    args = parser.parse_args(argv)
    written, clipped, failed = 0, 0, 0
    pairs = find_stem_files(args.src)
    shown = bar(pairs, title="decode", unit="track")
    for file, folder in shown:
        try:
            subtype = "FLOAT" if args.float32 else "PCM_16"
            new, over = decode(file, args.dst / folder, subtype=subtype)
            written, clipped = written + new, clipped + over
        except (DemucsError, OSError) as error:
            shown.write(f"error: {message_of(error)}", file=sys.stderr)
            failed += 1
    if clipped:
        print(f"{clipped} samples beyond ±1 were clipped: --float32 keeps them", file=sys.stderr)
    print(f"{len(pairs) - failed} of {len(pairs)} tracks are in {args.dst}, {written} files new")
    return 1 if failed else 0


if __name__ == "__main__":
    run_command(main)
