"""The arguments of the `demucs` command and the names of its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demucs.errors import AudioError, ConfigError
from demucs.separate.options import parse_options, unused_flags
from demucs.separate.outputs import DEFAULT_PATTERN, OutputNames, check_pattern


def test_the_defaults_are_the_public_ones() -> None:
    options = parse_options(["song.mp3"])
    assert options.tracks == [Path("song.mp3")]
    assert options.out == Path("separated")
    assert options.filename == "{track}/{stem}.{ext}"
    assert (options.shifts, options.overlap, options.split) == (1, 0.25, True)
    assert (options.segment, options.two_stems, options.jobs) == (None, None, 0)
    assert (options.other_method, options.clip_mode) == ("add", "rescale")
    assert (options.mp3_bitrate, options.mp3_preset) == (320, 2)
    assert (options.sig, options.name, options.repo, options.device) == (
        None,
        "htdemucs",
        None,
        None,
    )
    assert options.extension == "wav"


def test_every_public_flag_is_understood() -> None:
    line = "-n NAME --repo R -v -o O --filename {stem}.{ext} -d cpu --shifts 3 --overlap 0.5"
    line += " --segment 7.8 --two-stems vocals --other-method minus --int24 --clip-mode clamp"
    line += " --mp3 --mp3-bitrate 128 --mp3-preset 7 -j 2 a.wav b.wav"
    options = parse_options(line.split())
    assert options.segment == 7.8
    assert options.model_name == "NAME"
    assert options.verbose
    assert options.int24
    assert options.extension == "mp3"
    assert options.tracks == [Path("a.wav"), Path("b.wav")]
    other = parse_options(["-s", "SIG", "--no-split", "--float32", "--flac", "a.wav"])
    assert other.model_name == "SIG"
    assert not other.split
    assert other.float32
    assert other.extension == "flac"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "at least one track"),
        ("--overlap 1 a", "'1' is not a share"),
        ("--mp3 --filename {stem}.wav a", "ends in .wav, and --mp3 writes .mp3"),
        ("--flac --filename {stem}.mp3 a", "--flac writes .flac"),
        ("--float32 --filename {stem}.flac a", "--float32 writes .wav"),
        ("--overlap nan a", "'nan' is not a share"),
        ("--overlap half a", "'half' is not a share"),
        ("--shifts -1 a", "'-1' is not a whole number of at least 0"),
        ("--shifts 1.5 a", "'1.5' is not a whole number"),
        ("--segment 0 a", "'0' is not a number of seconds"),
        ("--segment inf a", "'inf' is not a number of seconds"),
        ("--jobs -2 a", "'-2' is not a whole number"),
        ("--mp3-bitrate 1000 a", "from 8 to 320"),
        ("--mp3-preset 9 a", "invalid choice"),
        ("--clip-mode loud a", "invalid choice"),
        ("--other-method x a", "invalid choice"),
        ("-s x -n y a", "not allowed with"),
        ("--flac --mp3 a", "not allowed with"),
        ("--int24 --float32 a", "not allowed with"),
        ("--no-split --segment 3 a", "not allowed with"),
        ("--filename ../{stem}.wav a", "leads out of"),
        ("--filename {stems}.wav a", "other names than"),
        ("--filename {track.__class__}{stem}.wav a", "other names than {track}, {trackext}, "),
        ("--filename {track[0]}{stem}.wav a", "{stem}, {ext}: {track[0]}"),
        ("--filename {stem!r}.wav a", "has {stem} with ! or :, which names do not take"),
        ("--filename {stem:>9}.wav a", "has {stem} with ! or :"),
        ("--filename {stem:{ext}}.wav a", "has {stem} with ! or :"),
        ("--filename {stem a", "is not a pattern"),
        ("--filename {stem}.ogg a", "must end in"),
    ],
)
def test_bad_lines_are_refused(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(line.split())
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--flac --float32", "flac holds no floats: writing 24-bit integers for --float32"),
        ("--filename {stem}.flac --float32 --flac", "flac holds no floats"),
        ("--mp3 --float32", "an mp3 has no bit depth"),
        ("--filename {stem}.mp3 --int24", "an mp3 has no bit depth"),
        ("--mp3-bitrate 128", "are for mp3, and not for .wav: add --mp3"),
        ("--flac --mp3-preset 7", "are for mp3, and not for .flac"),
        ("--float32 --clip-mode clamp", "--clip-mode is not for --float32"),
        ("--other-method minus", "--other-method is for --two-stems, which is not given"),
        ("-s SIG --repo here", "--repo is for -n, and not for -s"),
    ],
)
def test_flags_without_effect_are_told(line: str, said: str) -> None:
    (notice,) = unused_flags(parse_options([*line.split(), "a.wav"]))
    assert said in notice


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--int24",
        "--flac --int24",
        "--float32",
        "--mp3 --mp3-bitrate 128 --mp3-preset 7",
        "--filename {track}_{stem}.MP3 --mp3-bitrate 128",
        "--mp3 --clip-mode clamp",
        "--two-stems vocals --other-method minus",
        "-n NAME --repo here",
        "-s SIG",
    ],
)
def test_flags_with_effect_are_not(line: str) -> None:
    assert unused_flags(parse_options([*line.split(), "a.wav"])) == []


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom demucs.separate import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'hydra', 'dora', 'soundfile'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for flag in ("--sig", "--two-stems", "--clip-mode", "--mp3-preset", "--list-models"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    "pattern", ["/{stem}.wav", "..", "a/../../{stem}.wav", "{track.name}.wav", "{}.wav", "{0}.wav",
                "{stem}", "", "{track}/", "{stem!z}.wav", "{stem:d}.wav"]
)  # fmt: skip
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(ConfigError):
        check_pattern(pattern, "wav")


@pytest.mark.parametrize("pattern", [DEFAULT_PATTERN, "{stem}.{ext}", "x/../{track}_{stem}.FLAC"])
def test_good_patterns(pattern: str) -> None:
    check_pattern(pattern, "mp3")


def names(
    folder: Path, pattern: str = DEFAULT_PATTERN, inputs: tuple[str, ...] = ()
) -> OutputNames:
    return OutputNames(folder, pattern, "wav", [Path(name) for name in inputs])


def test_names_are_filled_in(tmp_path: Path) -> None:
    pattern = "{trackext}/{track}-{stem}.{ext}"
    given = names(tmp_path, pattern).of(Path("in/my.song.mp3"), ["drums"])
    assert given == {"drums": tmp_path / "mp3/my.song-drums.wav"}
    given = names(tmp_path, pattern).of(Path("no_suffix"), ["drums"])
    assert given == {"drums": tmp_path / "no_suffix-drums.wav"}


def test_a_track_cannot_lead_out(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="outside the output folder"):
        names(tmp_path).of(Path("...wav"), ["drums"])


@given(track=st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_no_track_name_leads_out(track: str) -> None:
    folder = Path("/nowhere/out")
    try:
        found = names(folder).of(Path(track), ["drums"])["drums"]
    except AudioError:
        return
    assert os.path.normpath(found).startswith("/nowhere/out/")


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    inputs = (str(tmp_path / "link" / "drums.wav"),)
    with pytest.raises(AudioError, match="one of the input files"):
        names(tmp_path / "out", "{stem}.{ext}", inputs).of(Path("a.mp3"), ["bass", "drums"])


def test_no_file_is_written_twice(tmp_path: Path) -> None:
    output = names(tmp_path)
    output.of(Path("x/song.wav"), ["drums"])
    with pytest.raises(AudioError, match=r"twice.*x/song\.wav"):
        output.of(Path("y/song.mp3"), ["drums"])
    with pytest.raises(AudioError, match="twice"):
        names(tmp_path, "{track}.wav").of(Path("song.mp3"), ["drums", "bass"])


def test_precision(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_options(["song.mp3"]).precision is None  # what suits the device
    assert parse_options(["song.mp3", "--precision", "tf32"]).precision == "tf32"
    assert parse_options(["song.mp3", "--precision", "bf16"]).precision == "bf16"
    with pytest.raises(SystemExit):
        parse_options(["song.mp3", "--precision", "fp8"])
    assert "choose from" in capsys.readouterr().err
