"""The arguments of the `demucs` command. Imports no torch, so `--help` answers at once."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demucs.errors import ConfigError
from demucs.release.names import folder_name
from demucs.separate.outputs import DEFAULT_PATTERN, check_pattern
from demucs.separate.types import integer, number

DEFAULT_MODEL = "htdemucs"
STANDARD = Path("-")  # standard input as a track, standard output as --out or --json
_ABOUT = """\
Separates music tracks into stems, such as drums, bass, other and vocals.
They become 16-bit wav files, OUT/MODEL/TRACK/STEM.wav, unless flags say otherwise."""
_EXAMPLES = """\
examples:
  demucs song.mp3                           separated/htdemucs/song/vocals.wav ...
  demucs --two-stems vocals --mp3 song.mp3  vocals.mp3 and no_vocals.mp3
  demucs -n SIG -r music                    all in a folder, by a model of yours

exit code: 0 if all tracks are done, 1 if some failed, 2 for wrong arguments
"""


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
    batch: int | None
    precision: str | None
    recursive: bool
    root: Path | None
    resume: bool
    json: Path | None
    consistency: bool

    @property
    def model_name(self) -> str:
        """What the model is called."""
        return self.sig or self.name

    @property
    def folder(self) -> Path:
        """Of the results, below `out`."""
        return self.out / folder_name(self.model_name)

    @property
    def extension(self) -> str:
        return "flac" if self.flac else "mp3" if self.mp3 else "wav"

    @property
    def to_stdout(self) -> bool:
        """The only stem goes to standard output."""
        return self.out == STANDARD

    @property
    def keeps_stdout_clean(self) -> bool:
        """Standard output is for data, so whatever is said goes to standard error."""
        return self.to_stdout or self.json == STANDARD


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line (None: that of the process); exits with 2 where it is wrong."""
    parser = _parser()
    options = Options(**vars(parser.parse_args(arguments)))
    if not options.tracks and not options.list_models:
        parser.error("name at least one track")
    if options.to_stdout:
        if len(options.tracks) > 1 or not options.two_stems or options.other_method != "none":
            parser.error(
                "argument -o/--out: - takes one track and one stem: give one file, and "
                "--two-stems STEM --other-method none"
            )
        if options.json == STANDARD or options.resume:
            parser.error("argument -o/--out: - does not go with --json - or --resume")
    try:
        check_pattern(options.filename, options.extension)
        _check_suffix(options)
    except ConfigError as error:
        parser.error(f"argument --filename: {error}")
    return options


def _check_suffix(options: Options) -> None:
    """Raises ConfigError if a pattern ends in another format than the flags ask for."""
    asked = {"--mp3": ".mp3", "--flac": ".flac", "--float32": ".wav"}
    given = {"--mp3": options.mp3, "--flac": options.flac, "--float32": options.float32}
    if given["--flac"]:
        given["--float32"] = False  # which has a notice of its own
    suffix = Path(options.filename.format(track="t", trackext="t", stem="s", ext="x")).suffix
    for flag, wanted in asked.items():
        if given[flag] and suffix.lower() not in (".x", wanted):
            raise ConfigError(
                f"{options.filename!r} ends in {suffix}, and {flag} writes {wanted}: end it in "
                f".{{ext}}, or leave {flag} out"
            )


def _track(text: str) -> Path:
    if not text:  # which Path would take for the folder that one is in
        raise argparse.ArgumentTypeError("the name of a track is empty")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
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
        help="audio files to separate, or folders with audio files; - is standard input",
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
        help="take the audio files of sub-folders too; their results lie in the same sub-folders",
    )
    parser.add_argument(
        "--root",
        metavar="FOLDER",
        type=Path,
        help="results of files below FOLDER lie in the same sub-folders as they do "
        "(default, with -r: the folders that are named)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave out tracks whose results are all there and newer than the track, even if "
        "they were made with other flags",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write what became of each track, or the list of models, as JSON; to standard output "
        "if it is -",
    )


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
        help="name or signature of a released or published model; A,B for a bag of several, "
        "A:1:0,B:0:1 with a weight for each stem; hf://NAME or hf://NAMESPACE/NAME for a model "
        "of the HuggingFace hub (default: %(default)s)",
    )
    parser.add_argument(
        "--repo",
        metavar="FOLDER",
        type=Path,
        help="folder of the models for -n (default: release_models, then the published ones)",
    )
    parser.add_argument(
        "--list-models",
        action="store_true",
        help="list the models in the repo, or all that -n knows, with size, stems, licence and "
        "training data, and exit; as JSON with --json",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="say how long each track took and what was scaled, and where an error comes from",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        default=Path("separated"),
        help="folder of the results, in a folder named after the model; - writes the only stem "
        "of the only track to standard output (default: %(default)s)",
    )
    parser.add_argument(
        "--filename",
        metavar="PATTERN",
        default=DEFAULT_PATTERN,
        help="name of each file below OUT/MODEL, with {track} and {trackext} for the name and the "
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
        metavar="N",
        type=integer(0),
        default=1,
        help="mean over so many random time shifts (the same in each run): more are slower and "
        "a little better; 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--overlap",
        metavar="SHARE",
        type=number("a share in [0, 1)", lambda x: 0 <= x < 1),
        default=0.25,
        help="share of a chunk that the next one covers again, in [0, 1) (default: %(default)s)",
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
        metavar="SECONDS",
        type=number("a number of seconds above 0", lambda x: x > 0),
        help="length of a chunk, such as 7.8: shorter needs less memory (default: the model's)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=integer(0),
        default=0,
        help="chunks to compute at a time, in threads on the cpu, each with its own memory; 0 and "
        "1: one (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=integer(1),
        help="chunks to give the network at once: more keep a GPU busy and need more of its memory "
        "(default: by its memory, about 160 s of audio; 1 on the cpu)",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "tf32", "bf16"],
        help="of the computations: bf16 is faster on processors and GPUs that have it, with "
        "errors about 45 dB below the stems; tf32 is for GPUs (default: tf32 on a GPU that has it, "
        "else fp32)",
    )


def _add_stems(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--two-stems", metavar="STEM", help="only write STEM, such as vocals, and no_STEM"
    )
    parser.add_argument(
        "--other-method",
        choices=["none", "add", "minus"],
        default="add",
        help="what no_STEM of --two-stems is: the sum of the other stems (add), the track minus "
        "STEM (minus), or not written (none) (default: %(default)s)",
    )
    parser.add_argument(
        "--consistency",
        action="store_true",
        help="have all stems sum to the track, by an equal share of what they lack of it; if they "
        "are turned down (see --clip-mode), to the track turned down as much",
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
    kind.add_argument("--flac", action="store_true", help="write flac instead of wav")
    kind.add_argument("--mp3", action="store_true", help="write mp3 instead of wav")
    parser.add_argument(
        "--mp3-bitrate",
        metavar="KBIT/S",
        type=integer(8, 320),
        default=320,
        help="of the mp3, 8 to 320 (default: %(default)s)",
    )
    parser.add_argument(
        "--mp3-preset",
        type=int,
        choices=range(2, 8),
        default=2,
        help="encoder preset of the mp3, 2 is best, 7 fastest (default: %(default)s)",
    )
