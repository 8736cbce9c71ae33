"""The checked options of the `demucs` command. Imports no torch, so `--help` answers at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demucs.errors import ConfigError
from demucs.release.names import folder_name
from demucs.separate.flags import flag_parser
from demucs.separate.outputs import check_pattern, filled

STANDARD = Path("-")  # standard input as a track, standard output as --out or --json


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
        """Name of the model, or signature of its experiment."""
        return self.sig or self.name

    @property
    def folder(self) -> Path:
        """The folder of the results: `out/MODEL`."""
        return self.out / folder_name(self.model_name)

    @property
    def extension(self) -> str:
        return "flac" if self.flac else "mp3" if self.mp3 else "wav"

    @property
    def to_stdout(self) -> bool:
        """The only stem is written to standard output."""
        return self.out == STANDARD

    @property
    def keeps_stdout_clean(self) -> bool:
        """Standard output holds data, so messages go to standard error."""
        return self.to_stdout or self.json == STANDARD


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line (None: that of the process); exits with 2 where it is wrong."""
    parser = flag_parser()
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
    suffixes = {"--mp3": ".mp3", "--flac": ".flac", "--float32": ".wav"}
    given = {"--mp3": options.mp3, "--flac": options.flac, "--float32": options.float32}
    if given["--flac"]:
        given["--float32"] = False  # `unused_flags` has a notice for it
    suffix = Path(options.filename.format(track="t", trackext="t", stem="s", ext="x")).suffix
    for flag, expected in suffixes.items():
        if given[flag] and suffix.lower() not in (".x", expected):
            raise ConfigError(
                f"{options.filename!r} ends in {suffix}, and {flag} writes {expected}: end it in "
                f".{{ext}}, or leave {flag} out"
            )


def unused_flags(options: Options) -> list[str]:
    """Notices of flags that have no effect together with the other flags."""
    suffix = Path(filled(options.filename, Path("t.t"), "s", options.extension)).suffix.lower()
    notices = {
        "flac holds no floats: writing 24-bit integers for --float32": (
            options.float32 and suffix == ".flac"
        ),
        "--int24 and --float32 are for wav and flac: an mp3 has no bit depth": (
            (options.int24 or options.float32) and suffix == ".mp3"
        ),
        f"--mp3-bitrate and --mp3-preset are for mp3, and not for {suffix}: add --mp3": (
            (options.mp3_bitrate, options.mp3_preset) != (320, 2) and suffix != ".mp3"
        ),
        "--clip-mode is not for --float32: floats are written as they are": (
            options.clip_mode != "rescale" and options.float32 and suffix == ".wav"
        ),
        "--other-method is for --two-stems, which is not given": (
            options.other_method != "add" and options.two_stems is None
        ),
        "--repo is for -n, and not for -s": options.repo is not None and options.sig is not None,
    }
    return [notice for notice, is_due in notices.items() if is_due]
