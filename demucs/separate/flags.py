"""The flags of the `demucs` command and their help, without torch: `--help` answers at once."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from demucs.separate.outputs import DEFAULT_PATTERN

DEFAULT_MODEL = "htdemucs"
_ABOUT = """\
Separates music tracks into stems, such as drums, bass, other and vocals.
Stems are written as 16-bit wav files, OUT/MODEL/TRACK/STEM.wav, unless flags say otherwise."""
_EXAMPLES = """\
examples:
  demucs song.mp3                           separated/htdemucs/song/vocals.wav ...
  demucs --two-stems vocals --mp3 song.mp3  vocals.mp3 and no_vocals.mp3
  demucs -n SIG -r music                    every track below a folder, with your own model

exit code: 0 if every track was separated, 1 if some failed, 2 if an argument is wrong
"""


def flag_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "demucs",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "tracks",
        nargs="*",
        type=_track,
        help="audio files to separate, or folders of audio files; - reads standard input",
    )
    _add_library(parser)
    _add_model(parser)
    _add_output(parser)
    _add_separation(parser)
    _add_stems(parser)
    _add_format(parser)
    return parser


def _add_library(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="also separate the audio files in sub-folders, and write their stems to the same "
        "sub-folders",
    )
    parser.add_argument(
        "--root",
        metavar="FOLDER",
        type=Path,
        help="write the stems of files below FOLDER to the same sub-folders "
        "(default with -r: the folders given as tracks)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip tracks whose stems all exist and are newer than the track, even if "
        "they were written with other flags",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write the result of each track, or the list of models, as JSON to FILE; - is "
        "standard output",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "-s",
        "--sig",
        help="signature of an experiment trained on this machine: uses the best "
        "weights so far, read from its checkpoint",
    )
    which.add_argument(
        "-n",
        "--name",
        default=DEFAULT_MODEL,
        help="name or signature of a released or published model; A,B for a bag of several, "
        "A:1:0,B:0:1 for a bag with one weight per stem; hf://NAME or hf://NAMESPACE/NAME for a "
        "model on the Hugging Face Hub (default: %(default)s)",
    )
    parser.add_argument(
        "--repo",
        metavar="FOLDER",
        type=Path,
        help="folder where -n looks for models (default: release_models, then the published "
        "models)",
    )
    parser.add_argument(
        "--list-models",
        action="store_true",
        help="list the models in --repo, or all models that -n accepts, with size, stems, licence "
        "and training data, then exit; as JSON with --json",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print the time and the gain of each track, and the traceback of each error",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        default=Path("separated"),
        help="output folder, in which each model has a sub-folder; - writes a single stem "
        "of a single track to standard output (default: %(default)s)",
    )
    parser.add_argument(
        "--filename",
        metavar="PATTERN",
        default=DEFAULT_PATTERN,
        help="name of each file below OUT/MODEL: {track} and {trackext} are the name and the "
        "extension of the track, {stem} and {ext} those of the stem "
        f"(default: {DEFAULT_PATTERN})",
    )


def _add_separation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d",
        "--device",
        help="device to compute on, such as cpu or cuda:1 (default: cuda if available, else cpu)",
    )
    parser.add_argument(
        "--shifts",
        metavar="N",
        type=integer(0),
        default=1,
        help="average over N random time shifts (the same in every run): more are slower and "
        "slightly better; 0 disables them (default: %(default)s)",
    )
    parser.add_argument(
        "--overlap",
        metavar="SHARE",
        type=number("a share in [0, 1)", lambda x: 0 <= x < 1),
        default=0.25,
        help="overlap of successive segments, as a fraction of a segment in [0, 1) (default: "
        "%(default)s)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--no-split",
        dest="split",
        action="store_false",
        help="separate the whole track at once, which needs much memory",
    )
    length.add_argument(
        "--segment",
        metavar="SECONDS",
        type=number("a number of seconds above 0", lambda x: x > 0),
        help="segment length, such as 7.8: shorter segments need less memory (default: the "
        "model's)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=integer(0),
        default=0,
        help="segments to compute at the same time on the cpu, each in a thread and with memory of "
        "its own; 0 and 1 mean one (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=integer(1),
        help="segments in a batch: more keep a GPU busy and need more of its memory "
        "(default: up to 160 s of audio, as its memory allows; 1 on the cpu)",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "tf32", "bf16"],
        help="precision of the network: bf16 is faster on processors and GPUs that support it, "
        "with "
        "an error about 45 dB below the stems; tf32 is for GPUs (default: tf32 on a GPU that "
        "supports it, else fp32)",
    )


def _add_stems(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--two-stems", metavar="STEM", help="write only STEM, such as vocals, and no_STEM, the rest"
    )
    parser.add_argument(
        "--other-method",
        choices=["none", "add", "minus"],
        default="add",
        help="how --two-stems makes no_STEM: add sums the other stems, minus subtracts STEM from "
        "the "
        "track, none does not write it (default: %(default)s)",
    )
    parser.add_argument(
        "--consistency",
        action="store_true",
        help="make the stems sum to the track, by adding an equal share of the residual to each; "
        "if "
        "--clip-mode scales the stems down, they sum to the track scaled by the same gain",
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    bits = parser.add_mutually_exclusive_group()
    bits.add_argument("--int24", action="store_true", help="write 24-bit wav or flac")
    bits.add_argument(
        "--float32",
        action="store_true",
        help="write 32-bit float wav, which is never scaled or clamped",
    )
    parser.add_argument(
        "--clip-mode",
        choices=["rescale", "clamp", "tanh", "none"],
        default="rescale",
        help="what to do if a stem exceeds full scale: rescale scales all stems of the track by "
        "the "
        "same gain, clamp clips, tanh saturates softly, none leaves the samples as they are, "
        "which integer formats clip (default: %(default)s)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--flac", action="store_true", help="write flac instead of wav")
    kind.add_argument("--mp3", action="store_true", help="write mp3 instead of wav")
    parser.add_argument(
        "--mp3-bitrate",
        metavar="KBIT/S",
        type=integer(8, 320),
        default=320,
        help="bitrate of the mp3, 8 to 320 (default: %(default)s)",
    )
    parser.add_argument(
        "--mp3-preset",
        type=int,
        choices=range(2, 8),
        default=2,
        help="preset of the mp3 encoder: 2 is the best, 7 the fastest (default: %(default)s)",
    )


def _track(text: str) -> Path:
    if not text:  # Path("") is the current folder
        raise argparse.ArgumentTypeError("the name of a track is empty: give a file, a folder or -")
    return Path(text)


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`.

    >>> integer(1, 8)("4")
    4
    """

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {allowed}")
        return value

    return parse


def number(description: str, accept: Callable[[float], bool]) -> Callable[[str], float]:
    """A parser of the finite numbers that `accept` returns True for; `wanted` describes them.

    >>> number("a share in [0, 1)", lambda value: 0 <= value < 1)("0.25")
    0.25
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not accept(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {description}")
        return value

    return parse
