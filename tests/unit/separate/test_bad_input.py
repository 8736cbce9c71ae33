"""The table of odd and bad inputs: each is separated, or ends with a message that helps.

Whatever is wrong with a track, the good one beside it is separated, the exit code tells, and
nothing half-written is left.
"""

import io
import logging
import os
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from demucs import api
from demucs.audio import read_audio, write_audio
from demucs.nn import allocator
from demucs.separate import main

RATE = 8000
STEMS = ["drums", "vocals"]
HIDDEN = (".hidden", "..")  # tracks, not leftovers
ONE = ["--two-stems=drums", "--other-method=none"]


class Split(nn.Module):
    """A third and the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = STEMS
        self.audio_channels, self.samplerate, self.segment = 2, RATE, 0.5

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([mix / 3, mix * 2 / 3], dim=1)


def noise(channels: int = 2, length: int = 3000, gain: float = 0.5) -> Tensor:
    return (torch.rand(channels, length, generator=torch.Generator().manual_seed(1)) - 0.5) * gain


def wav_bytes(*, kind: int = 1, channels: int = 2, rate: int = RATE, told: int | None = None,
              data: bytes = b"\1\2" * 4000) -> bytes:  # fmt: skip
    """A wav file of 16 bits with a header to choose."""
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * 2, 2 * channels, 16)
    told = len(data) if told is None else told
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", told) + data
    return b"RIFF" + struct.pack("<I", min(4 + len(chunks), 2**32 - 1)) + b"WAVE" + chunks


def encoded(name: str, **options: object) -> Callable[[Path], None]:
    """Makes a file by its suffix, with our own writer."""

    def make(path: Path) -> None:
        write_audio(path.parent / name, noise(), RATE, **options)  # type: ignore[arg-type]
        (path.parent / name).rename(path)

    return make


def sound(samples: Tensor, rate: int = RATE, **options: str) -> Callable[[Path], None]:
    options.setdefault("subtype", "FLOAT")
    options.setdefault("format", "WAV")
    return lambda path: soundfile.write(path, samples.T.numpy(), rate, **options)


def data(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def part(name: str, share: float) -> Callable[[Path], None]:
    """The beginning of a file."""

    def make(path: Path) -> None:
        encoded(name)(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def by_ffmpeg(*arguments: str, cut: float = 1.0) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        if shutil.which("ffmpeg") is None:
            pytest.skip("ffmpeg is not on PATH")
        subprocess.run(["ffmpeg", "-v", "error", *arguments, f"file:{path}"], check=True)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * cut)])

    return make


def cut(make: Callable[[Path], None], share: float = 0.6) -> Callable[[Path], None]:
    def make_part(path: Path) -> None:
        make(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make_part


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("readme.txt", "".join(map(str, range(5000))))


def nothing(path: Path) -> None:
    """Leaves the file missing."""


def spoilt(value: float, at: int) -> Tensor:
    wav = noise()
    wav[1, at] = value
    return wav


SINE = ("-f", "lavfi", "-i", "sine=d=0.5")
PICTURE = ("-f", "lavfi", "-i", "color=c=red:s=32x32:d=0.2")

# name → how it is made, what the message says
UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing.wav": (nothing, "does not exist: check the name"),
    "nowhere/missing.wav": (nothing, "does not exist"),
    "good.wav/below.wav": (nothing, "cannot be read"),
    "null\0.wav": (nothing, "cannot be read"),
    "n" * 300 + ".wav": (nothing, "cannot be read"),
    "empty.wav": (data(b""), r"is empty \(0 bytes\): copy or download"),
    "empty.mp3": (data(b""), "is empty"),
    "folder": (Path.mkdir, "a folder without audio files .* add -r"),
    "folder.wav": (Path.mkdir, "a folder without audio files"),
    "dangling.wav": (link("gone.wav"), "does not exist"),
    "loop.wav": (link("loop.wav"), "cannot be read"),
    "pipe.wav": (os.mkfifo, "a pipe or a device"),
    "device.wav": (link("/dev/null"), "a pipe or a device"),
    "text.wav": (data(b"this is no music\n" * 90), "cannot be decoded.*Check that it is an audio"),
    "text.mp3": (data(b"this is no music\n" * 90), "cannot be decoded"),
    "page.flac": (data(b"<html><body>404 Not Found</body></html>" * 9), "cannot be decoded"),
    "archive.mp3": (archive, "cannot be decoded"),
    "random.wav": (data(np.random.default_rng(1).bytes(3000)), "cannot be decoded"),
    "zeros.flac": (data(bytes(5000)), "cannot be decoded"),
    "picture.mp3": (by_ffmpeg(*PICTURE, "-frames:v", "1", "-f", "image2"), "cannot be decoded"),
    "silent_film.mp4": (by_ffmpeg(*PICTURE), "cannot be decoded.*no audio stream"),
    "half.m4a": (by_ffmpeg(*SINE, cut=0.5), "cannot be decoded"),
    "half.mp3": (by_ffmpeg(*SINE, cut=0.3), "damaged or cut short"),
    "half.wav": (part("a.wav", 0.5), "damaged or cut short.*Copy or download it again"),
    "half.flac": (part("a.flac", 0.5), "damaged or cut short"),
    "half.aiff": (cut(sound(noise(), format="AIFF", subtype="PCM_16")), "damaged or cut short"),
    "half_fast.m4a": (
        by_ffmpeg(*SINE, "-movflags", "+faststart", cut=0.9), "damaged or cut short"
    ),
    "start.flac": (part("a.flac", 0.01), "cannot be decoded|cut short|no samples"),
    "riff.wav": (data(wav_bytes()[:12]), "cannot be decoded"),
    "header.wav": (data(wav_bytes()[:44]), "cut short"),
    "no_samples.wav": (data(wav_bytes(data=b"")), "holds no samples"),
    "unknown_kind.wav": (data(wav_bytes(kind=0x1234)), "cannot be decoded"),
    "no_channels.wav": (data(wav_bytes(channels=0)), "cannot be decoded"),
    "no_rate.wav": (data(wav_bytes(rate=0)), "cannot be decoded|positive"),
    "rate.wav": (data(wav_bytes(rate=10**9)), "not one is left|cannot be decoded"),
    "one_fast.wav": (sound(noise(2, 1), 192_000), "1 samples at 192000 Hz: not one is left"),
    "nan.wav": (sound(spoilt(np.nan, 5)), "1 samples that are NaN or infinite: export it again"),
    "late_nan.wav": (sound(spoilt(np.nan, 2999)), "1 samples that are NaN"),
    "inf.wav": (sound(spoilt(np.inf, 0)), "1 samples that are NaN or infinite"),
    "all_nan.wav": (sound(torch.full((2, 500), np.nan)), "1000 samples that are NaN"),
    "...wav": (encoded("a.wav"), "outside the output folder"),
}  # fmt: skip

ODD: dict[str, Callable[[Path], None]] = {
    "mp3_as.wav": encoded("a.mp3"),
    "wav_as.mp3": encoded("a.wav"),
    "flac_as.wav": encoded("a.flac"),
    "no_suffix": encoded("a.wav"),
    "some.bin": encoded("a.wav"),
    "16_bits.wav": encoded("a.wav"),
    "24_bits.wav": encoded("a.wav", bits=24),
    "32_bits.wav": encoded("a.wav", bits=32),
    "8_bits.wav": sound(noise(), subtype="PCM_U8"),
    "doubles.wav": sound(noise(), subtype="DOUBLE"),
    "ulaw.wav": sound(noise(), subtype="ULAW"),
    "adpcm.wav": sound(noise(), subtype="IMA_ADPCM"),
    "apple.aiff": sound(noise(), format="AIFF", subtype="PCM_24"),
    "sony.w64": sound(noise(), format="W64"),
    "ebu.rf64": sound(noise(), format="RF64"),
    "core.caf": sound(noise(), format="CAF"),
    "vorbis.ogg": sound(noise(), format="OGG", subtype="VORBIS"),
    "half.mp3": part("a.mp3", 0.6),
    "half.ogg": cut(sound(noise(2, 30_000), format="OGG", subtype="VORBIS")),
    "aac.m4a": by_ffmpeg(*SINE),
    "film.mkv": by_ffmpeg(*SINE, *PICTURE),
    "streamed.wav": data(wav_bytes(told=2**32 - 1)),
    "junk_at_the_end.wav": data(wav_bytes() + b"ID3 and so on" * 40),
    "one_sample.wav": sound(noise(2, 1)),
    "two_samples.wav": sound(noise(2, 2)),
    "mono.wav": sound(noise(1)),
    "8_channels.wav": sound(noise(8)),
    "9_channels.wav": sound(noise(9)),
    "slow.wav": sound(noise(), 1000),
    "44100.wav": sound(noise(), 44_100),
    "44101.wav": sound(noise(), 44_101),
    "192k.wav": sound(noise(), 192_000),
    "silence.wav": sound(torch.zeros(2, 3000)),
    "dc.wav": sound(torch.full((2, 3000), 0.7)),
    "one_side.wav": sound(torch.stack([noise()[0], torch.zeros(3000)])),
    "opposed.wav": sound(torch.stack([noise()[0], -noise()[0]])),
    "quiet.wav": sound(noise(gain=1e-12)),
    "denormal.wav": sound(noise(gain=1e-40)),
    "loud.wav": sound(noise(gain=1e6)),
    "ümlaut 音楽 🎵.wav": encoded("a.wav"),
    "line\nfeed.wav": encoded("a.wav"),
    "-dash.wav": encoded("a.wav"),
    "{stem} %s 'quote\" $HOME.wav": encoded("a.wav"),
    " spaces .wav": encoded("a.wav"),
    "caf\udce9.wav": encoded("a.wav"),
    ".hidden.wav": encoded("a.wav"),
    "l" * 200 + ".wav": encoded("a.wav"),
    "音" * 80 + ".wav": encoded("a.wav"),
}


@dataclass
class Place:
    """A folder with a good track, and the command that runs there."""

    folder: Path
    errors: pytest.CaptureFixture[str]
    err: str = ""

    def run(self, *line: str) -> int:
        try:
            main(["-n", "fake", "-d", "cpu", *line])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        self.err = self.errors.readouterr().err
        assert "Traceback" not in self.err
        assert not [path for path in self.folder.rglob(".*") if path.stem not in HIDDEN]
        return code

    def separated(self, track: str) -> bool:
        """All stems of a track are there, or none."""
        found = [(self.folder / "separated/fake" / track / f"{s}.wav").exists() for s in STEMS]
        assert len(set(found)) == 1
        return found[0]

    def said(self) -> list[str]:
        return self.err.split("demucs: ")[1:]


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Place]:
    monkeypatch.setattr(api, "_load", lambda *_: Split())
    monkeypatch.setattr(allocator, "return_large_blocks", lambda: False)  # for the whole process
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "good.wav", noise(), RATE)
    yield Place(tmp_path, capsys)
    logging.getLogger("demucs").setLevel(logging.NOTSET)


def test_the_table_is_long_enough() -> None:
    assert len(UNREADABLE) + len(ODD) >= 60


@pytest.mark.parametrize("name", UNREADABLE, ids=lambda name: name[:20].replace("\0", "0"))
def test_the_unreadable_is_told_and_the_rest_is_done(place: Place, name: str) -> None:
    import re

    make, said = UNREADABLE[name]
    if make is not nothing:
        make(place.folder / name)
    assert place.run("--", name, "good.wav") == 1
    first, last = place.said()
    assert name in first
    assert re.search(said, first, re.DOTALL), first
    assert "1 of 2 tracks could not be separated" in last
    assert place.separated("good")
    assert os.listdir(place.folder / "separated/fake") == ["good"]


@pytest.mark.parametrize("name", ODD, ids=lambda name: ascii(name[:20]))
def test_the_odd_is_separated(place: Place, name: str) -> None:
    ODD[name](place.folder / name)
    stems = {}
    assert place.run("--float32", "--", name) == 0, place.err
    track = Path(name).stem
    for stem in STEMS:
        stems[stem], rate = read_audio(place.folder / "separated/fake" / track / f"{stem}.wav")
        assert rate == RATE
    wav, rate = read_audio(place.folder / name)
    assert stems["drums"].shape[0] == 2
    assert abs(stems["drums"].shape[1] - wav.shape[1] * RATE / rate) < 1.001
    loudest = max(float(stem.abs().max()) for stem in stems.values())
    assert loudest <= 1.5 * float(wav.abs().max()) + 1e-6
    assert loudest >= 0.2 * float(wav[:2].abs().max()) - 1e-9 or rate > 100_000


def test_no_permission(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(place.folder / "mine.wav", noise(), RATE)
    if os.geteuid() == 0:  # whom chmod does not stop
        real = Path.open

        def refuse(path: Path, *arguments: Any, **options: Any) -> object:
            if path.name == "mine.wav":
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", refuse)
    (place.folder / "mine.wav").chmod(0)
    assert place.run("mine.wav", "good.wav") == 1
    assert "mine.wav cannot be read: you have no permission (chmod +r)" in place.err
    assert place.separated("good")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["-o", "good.wav"], r"Cannot write good\.wav/fake/good/\w+\.wav: .*Check the folder"),
        (["-o", "/proc/demucs"], "Cannot write /proc/demucs"),
        (["--filename", "{stem}/{track}/../../../../x/{stem}.wav"], "leads out"),
    ],
)
def test_unwritable_folders_are_told(place: Place, line: list[str], said: str) -> None:
    import re

    assert place.run(*line, "good.wav") in (1, 2)
    assert re.search(said, place.err)
    assert os.listdir(place.folder) == ["good.wav"]


def test_a_folder_is_not_written_over(place: Place) -> None:
    (place.folder / "separated/fake/good/vocals.wav").mkdir(parents=True)
    write_audio(place.folder / "b.wav", noise(), RATE)
    assert place.run("good.wav", "b.wav") == 1
    assert "vocals.wav: there is a folder of that name" in place.err
    assert os.listdir(place.folder / "separated/fake/good") == ["vocals.wav"]
    assert place.separated("b")


@pytest.mark.parametrize("flags", [[], ["--flac"], ["--mp3"], ["--float32"], ["--clip-mode=none"]])
def test_a_full_disk_leaves_nothing(place: Place, flags: list[str]) -> None:
    sound(noise(2, 60_000))(place.folder / "long.wav")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        code = place.run(*flags, "long.wav", "good.wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    assert "Cannot write separated/fake/long/" in place.err
    assert "space on the disk" in place.err
    assert os.listdir(place.folder / "separated/fake") == ["good"]


def test_sources_are_never_written_over(place: Place) -> None:
    folder = place.folder / "separated" / "fake"
    folder.mkdir(parents=True)
    shutil.copy("good.wav", folder / "vocals.wav")
    os.link("good.wav", folder / "hard-vocals.wav")
    os.symlink(place.folder / "good.wav", folder / "soft-vocals.wav")
    before = (folder / "vocals.wav").read_bytes()
    tracks = {"": str(folder / "vocals.wav"), "hard-": "good.wav", "soft-": "good.wav"}
    for prefix, track in tracks.items():
        assert place.run("--filename", prefix + "{stem}.wav", track) == 1
        assert "which is one of the input files: give another --filename or --out" in place.err
    assert sorted(os.listdir(folder)) == ["hard-vocals.wav", "soft-vocals.wav", "vocals.wav"]
    assert (folder / "vocals.wav").read_bytes() == before


def test_two_tracks_of_one_name(place: Place) -> None:
    (place.folder / "other").mkdir()
    shutil.copy("good.wav", "other/good.wav")
    assert place.run("good.wav", "other/good.wav", "good.wav") == 1
    assert "other/good.wav: not writing separated/fake/good/drums.wav twice" in place.err
    assert "1 of 2 tracks" in place.err
    assert place.separated("good")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["--two-stems", "sax"], 1, "sax: the model fake has no such stem; choose one of drums"),
        (["-d", "toaster"], 1, "toaster"),
        (["--json", "good.wav"], 1, "--json good.wav, which is one of the input files"),
        (["--json", "good.wav/x.json"], 1, "Cannot write --json good.wav/x.json"),
        (["--filename", "../{stem}.wav"], 2, "leads out of the output folder"),
        (["--filename", "/tmp/{stem}.wav"], 2, "leads out of the output folder"),
        (["--filename", "{artist}.wav"], 2, "other names than"),
        (["--filename", "{stem}.ogg"], 2, "must end in"),
        (["-o", "-"], 2, "one track and one stem"),
        (["-o", "-", "--two-stems", "drums"], 2, "--other-method none"),
        (
            ["-o", "-", *ONE, "--json=-"],
            2,
            "does not go with",
        ),
        (["-o", "-", *ONE, "x.wav"], 2, "one track"),
        (["--segment", "nan"], 2, "'nan' is not a number of seconds"),
        (["--no-such-flag"], 2, "unrecognized arguments"),
        (["--segment", "0.0001"], 1, "has a stride of less than one sample"),
    ],
)
def test_wrong_lines_separate_nothing(place: Place, line: list[str], code: int, said: str) -> None:
    assert place.run(*line, "good.wav") == code
    assert said in place.err
    left = {path.name for path in place.folder.rglob("*")} - {"separated", "fake", "good"}
    assert left == {"good.wav"} or "x.json" in said
    assert read_audio("good.wav")[0].shape == (2, 3000)


class Diverged(Split):
    def forward(self, mix: Tensor) -> Tensor:
        return super().forward(mix) * torch.nan


class Greedy(Split):
    def forward(self, mix: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


class Buggy(Split):
    def forward(self, mix: Tensor) -> Tensor:
        return {}["surprise"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Diverged(), "good.wav: it would hold NaN|NaN or infinite samples. The model has diverged"),
        (Greedy(), "use another device \\(--device cpu\\)"),
        (Buggy(), "good.wav: KeyError: 'surprise'"),
    ],
)
def test_bad_models_leave_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, model: Split, said: str
) -> None:
    import re

    monkeypatch.setattr(api, "_load", lambda *_: model)
    assert place.run("good.wav") == 1
    assert re.search(said, place.err)
    assert not list(place.folder.rglob("drums*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "standard input is empty"), (b"no music" * 99, "standard input cannot be decoded"),
     (wav_bytes()[:2000], "standard input is damaged or cut short")],
)  # fmt: skip
def test_bad_standard_input(
    place: Place, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert place.run("-", "good.wav") == 1
    assert said in place.err
    assert "/tmp" not in place.said()[0]
    assert place.separated("good")
