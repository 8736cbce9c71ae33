"""The arguments of the `demucs` command. Imports no torch, so `--help` answers at once."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demucs.errors import ConfigError
from demucs.separate_names import DEFAULT_PATTERN, check_pattern

DEFAULT_MODEL = "htdemucs"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line, parsed and checked; see `--help` for what each means."""

    tracks: list[Path]
    sig: str | None
    name: str
    repo: Path | None
    list_models: bool
    verbose: bool
    out: Path
    filename: str
    device: str | None
    shifts: int
    overlap: float
    split: bool
    segment: float | None
    two_stems: str | None
    other_method: str
    int24: bool
    float32: bool
    clip_mode: str
    flac: bool
    mp3: bool
    mp3_bitrate: int
    mp3_preset: int
    jobs: int
    precision: str

    @property
    def model_name(self) -> str:
        """What the folder of the results is called."""
        return self.sig or self.name

    @property
    def extension(self) -> str:
        return "flac" if self.flac else "mp3" if self.mp3 else "wav"


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line (None: that of the process); exits with 2 where it is wrong."""
    parser = _parser()
    options = Options(**vars(parser.parse_args(arguments)))
    if not options.tracks and not options.list_models:
        parser.error("name at least one track")
    try:
        check_pattern(options.filename, options.extension)
    except ConfigError as error:
        parser.error(f"argument --filename: {error}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("demucs", description="Separate the stems of music tracks.")
    parser.add_argument("tracks", nargs="*", type=Path, help="audio files to separate")
    _add_model(parser)
    _add_output(parser)
    _add_separation(parser)
    _add_stems(parser)
    _add_format(parser)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "-s",
        "--sig",
        help="signature of an experiment trained here: its best "
        "weights so far, straight from its checkpoint",
    )
    which.add_argument(
        "-n",
        "--name",
        default=DEFAULT_MODEL,
        help="name or signature of a released model (default: %(default)s)",
    )
    parser.add_argument(
        "--repo", type=Path, help="folder of the released models for -n (default: release_models)"
    )
    parser.add_argument(
        "--list-models", action="store_true", help="list the models in the repo and exit"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="say more about what is done, and where an error comes from",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("separated"),
        help="folder of the results, in a folder named after the model (default: %(default)s)",
    )
    parser.add_argument(
        "--filename",
        default=DEFAULT_PATTERN,
        help="name of each file, with {track} and {trackext} for the name and the "
        "extension of the track, {stem} and {ext} for those of the result "
        f"(default: {DEFAULT_PATTERN})",
    )


def _add_separation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d",
        "--device",
        help="where to compute, such as cpu or cuda:1 (default: cuda if there is one, else cpu)",
    )
    parser.add_argument(
        "--shifts",
        type=_integer(0),
        default=1,
        help="average over this many random time shifts: slower, better; 0 for "
        "none (default: %(default)s)",
    )
    parser.add_argument(
        "--overlap",
        type=_number("a share in [0, 1)", lambda x: 0 <= x < 1),
        default=0.25,
        help="overlap of the chunks (default: %(default)s)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--no-split",
        dest="split",
        action="store_false",
        help="the whole track at once: needs much memory",
    )
    length.add_argument(
        "--segment",
        type=_number("a number of seconds above 0", lambda x: x > 0),
        help="length of a chunk in seconds, such as 7.8: shorter needs less "
        "memory (default: the model's)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=_integer(0),
        default=0,
        help="chunks to compute at a time, on the cpu (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "bf16"],
        default="fp32",
        help="of the computations on the cpu: bf16 is faster on processors that have it, with "
        "errors about 45 dB below the stems (default: %(default)s)",
    )


def _add_stems(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--two-stems", metavar="STEM", help="only write STEM and no_STEM")
    parser.add_argument(
        "--other-method",
        choices=["none", "add", "minus"],
        default="add",
        help="what no_STEM is: the sum of the other stems (add), the track minus "
        "STEM (minus), or not written (none) (default: %(default)s)",
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    bits = parser.add_mutually_exclusive_group()
    bits.add_argument("--int24", action="store_true", help="24 bits a sample in wav and flac")
    bits.add_argument(
        "--float32",
        action="store_true",
        help="wav of 32-bit floats, which are never scaled or clamped",
    )
    parser.add_argument(
        "--clip-mode",
        choices=["rescale", "clamp", "tanh", "none"],
        default="rescale",
        help="what to do where samples exceed full scale: turn "
        "all stems of the track down alike (rescale), cut them (clamp), bend them "
        "(tanh), or leave them, which integers cut (none) "
        "(default: %(default)s)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--flac", action="store_true", help="write flac")
    kind.add_argument("--mp3", action="store_true", help="write mp3")
    parser.add_argument(
        "--mp3-bitrate",
        type=_integer(8, 320),
        default=320,
        help="kbit/s of the mp3 (default: %(default)s)",
    )
    parser.add_argument(
        "--mp3-preset",
        type=int,
        choices=range(2, 8),
        default=2,
        help="encoder preset of the mp3, 2 is best, 7 fastest (default: %(default)s)",
    )


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {wanted}")
        return value

    return parse


def _number(wanted: str, accept: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not accept(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse
