"""Arguments of the API that are of another type or out of range, and copies of a separator."""

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from demucs.api import Separator, list_models, save_audio
from demucs.apply import apply_model
from demucs.errors import AudioError, ConfigError, DemucsError
from demucs.nn import HDemucs
from demucs.pretrained import get_model

RATE = 8000
NOT_WHOLE = (1.5, "1", True, None, float("nan"), np.float32(1), [1], -1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Quarter(nn.Module):
    """Returns a quarter and three quarters of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = ["quarter", "rest"]
        self.audio_channels, self.samplerate, self.segment = 2, RATE, 0.5

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([mix / 4, mix * 3 / 4], dim=1)


def noise(length: int = 3000) -> Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(0)) * 0.1


def note(state: dict[str, Any]) -> None:
    """A callback that can be pickled."""


WRONG = {
    "shifts": NOT_WHOLE,
    "jobs": NOT_WHOLE,
    "batch": (0, -1, 1.5, "1", True, float("inf")),
    "overlap": ("0.25", 1, -0.1, True, None, float("nan"), float("inf"), np.float32("nan")),
    "segment": ("7", 0, -1, True, float("nan"), float("inf"), [7]),
    "split": ("yes", 1, None),
    "progress": ("no", 0, None),
    "lean": (1, "yes"),
    "precision": (16, ["fp32"], torch.float32),
    "device": (5, "gpu", "meta", ["cpu"], 1.5),
    "callback": ("print", 3),
    "callback_arg": ([1], "a"),
    "model": (None, 5, b"name", nn.Linear(1, 1)),
    "repo": (5, "", ["a"]),
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]
UPDATED = ("shifts", "jobs", "overlap", "segment", "split", "progress", "device", "callback")


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_argument_is_refused_with_its_name_and_value(name: str, value: Any) -> None:
    arguments = {"model": "no_such_model" if name == "repo" else Quarter(), name: value}
    with pytest.raises(ConfigError) as caught:
        Separator(**arguments)
    said = str(caught.value)
    shown = repr(str(value)) if name == "device" else repr(value)
    if not isinstance(value, nn.Module):
        assert shown in said
    assert any(word in said for word in ("give", "Choose"))


@pytest.mark.parametrize(("name", "value"), [one for one in CASES if one[0] in UPDATED])
def test_an_update_that_is_refused_changes_nothing(name: str, value: Any) -> None:
    separator = Separator(Quarter(), device="cpu")
    before = dict(separator._options)
    with pytest.raises(ConfigError):
        separator.update_parameter(**{"shifts": 3, "overlap": 0.5, name: value})
    assert separator._options == before


def test_numbers_of_numpy_are_numbers() -> None:
    plain = Separator(Quarter(), shifts=2, overlap=0.25, segment=0.25, jobs=1, batch=2)
    numpy = Separator(
        Quarter(), shifts=np.int64(2), overlap=np.float32(0.25), segment=np.float64(0.25),
        jobs=np.int8(1), batch=np.int32(2), split=np.bool_(True),
    )  # fmt: skip
    one, other = (
        separator.separate_tensor(noise(), sr)[1]
        for separator, sr in ((plain, 4000), (numpy, np.int32(4000)))
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("rate", [0, -1, 44100.5, 44100.0, "44100", True, float("nan"), [8000]])
def test_sample_rates_that_are_none_are_refused_before_anything_is_done(
    tmp_path: Path, rate: Any
) -> None:
    with pytest.raises(ConfigError, match=r"^sr=.*whole number"):
        Separator(Quarter()).separate_tensor(noise(), rate)
    with pytest.raises(ConfigError, match=r"^samplerate=.*whole number"):
        save_audio(noise(), tmp_path / "new" / "a.wav", rate)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "wav",
    [
        noise().numpy(), noise().tolist(), None, noise()[0], noise()[None], noise()[:, :0],
        noise().to(torch.complex64), noise() > 0, noise().fill_(float("nan")),
    ],
)  # fmt: skip
def test_signals_that_are_none_are_refused(tmp_path: Path, wav: Any) -> None:
    with pytest.raises(AudioError):
        Separator(Quarter()).separate_tensor(wav)
    with pytest.raises(AudioError):
        save_audio(wav, tmp_path / "a.wav", RATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        {"bits_per_sample": 12}, {"bits_per_sample": "16"}, {"bits_per_sample": 16.0},
        {"clip": "loud"}, {"as_float": 1}, {"as_float": "no"},
        {"bitrate": 4, "path": "a.mp3"}, {"bitrate": "320", "path": "a.mp3"},
        {"preset": 9, "path": "a.mp3"}, {"path": 5}, {"path": ""}, {"path": "a\0.wav"},
        {"path": "a.xyz"},
    ],
)  # fmt: skip
def test_ways_to_save_that_are_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        save_audio(noise(), **{"path": "a.wav", "samplerate": RATE, **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        {"mix": noise()[None].numpy()}, {"mix": noise()}, {"mix": noise()[None].short()},
        {"shifts": 1.5}, {"overlap": "0.25"}, {"segment": -1}, {"segment": "7"},
        {"transition_power": "1"}, {"transition_power": float("nan")}, {"num_workers": 1.5},
        {"batch": 0.5}, {"split": 1}, {"progress": 1}, {"device": "gpu"}, {"device": 5},
    ],
)  # fmt: skip
def test_apply_model_refuses_the_same(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        apply_model(Quarter(), **{"mix": noise()[None], **arguments})


def test_names_of_models_and_folders_are_checked() -> None:
    for work in (lambda: get_model(5), lambda: get_model("a", 5), lambda: list_models(5)):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="give"):
            work()


def inputs(folder: Path) -> dict[str, Any]:
    """Things that may be given as a file, by what they are."""
    wav = noise().T.numpy()
    soundfile.write(folder / "good.wav", wav, RATE)
    soundfile.write(folder / "mono.flac", wav[:, 0], 2 * RATE)
    soundfile.write(folder / "three.wav", wav[:, [0, 1, 0]], RATE)
    soundfile.write(folder / "none.wav", wav[:0], RATE)
    soundfile.write(folder / "nan.wav", wav * np.float32("nan"), RATE, subtype="FLOAT")
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no audio at all\n" * 50)
    os.symlink("nowhere", folder / "link.wav")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.wav")
    names = sorted(one.name for one in folder.iterdir())
    return {
        **{name: folder / name for name in names},
        "a folder": folder,
        "missing": folder / "missing.wav",
        "below a file": folder / "good.wav" / "a.wav",
        "text": str(folder / "good.wav"),
        "bytes": os.fsencode(folder / "good.wav"),
        "nothing": None,
        "no name": "",
        "a number": 5,
        "a NUL": "a\0b.wav",
        "an open file": (folder / "good.wav").open("rb"),
        "samples": noise(),
    }


def test_a_file_is_refused_or_accepted_whole_and_in_blocks_alike(tmp_path: Path) -> None:
    separator = Separator(Quarter())

    def whole(file: Any) -> Tensor:
        return torch.stack(list(separator.separate_audio_file(file)[1].values()))

    def in_blocks(file: Any) -> Tensor:
        return torch.cat([block.stems for block in separator.separate_blocks(file)], -1)

    accepted = set()
    for name, file in inputs(tmp_path).items():
        results = [outcome(work, file) for work in (whole, in_blocks)]
        if isinstance(results[0], Tensor):
            assert isinstance(results[1], Tensor), (name, results[1])
            torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
            accepted.add(name)
        else:
            assert results[0] == results[1], name
        if hasattr(file, "close"):
            file.close()
    assert accepted == {"good.wav", "mono.flac", "three.wav", "text", "bytes"}


def outcome(work: Callable[[Any], Tensor], file: Any) -> Tensor | tuple[type, str]:
    """The stems, or the kind of error and what it says."""
    try:
        return work(file)
    except DemucsError as error:
        return type(error), str(error)


def test_arguments_of_blocks_are_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="consistency"):
        Separator(Quarter()).separate_blocks(tmp_path, consistency=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="file=5"):
        Separator(Quarter()).separate_blocks(5)  # type: ignore[arg-type]


def trained() -> HDemucs:
    torch.manual_seed(0)
    sources = ["drums", "bass"]
    return HDemucs(sources, channels=4, nfft=256, depth=4, samplerate=RATE, segment=0.5).eval()


def stems_of(separator: Separator, wav: Tensor, results: Any = None) -> Tensor:
    stems = torch.stack(list(separator.separate_tensor(wav)[1].values()))
    if results is not None:
        results.put(stems.numpy())
    return stems


@pytest.mark.parametrize(("lean", "used"), [(False, False), (False, True), (True, True)])
def test_a_copy_gives_the_same_bits(lean: bool, used: bool) -> None:
    separator = Separator(trained(), device="cpu", lean=lean, callback=note)
    if used:  # weights are in the layout of oneDNN now, for this length
        stems_of(separator, noise(1500))
    copies = [copy.deepcopy(separator), pickle.loads(pickle.dumps(separator))]
    expected = stems_of(separator, noise())
    for other in copies:
        assert torch.equal(stems_of(other, noise()), expected)
        other.update_parameter(shifts=0)
    assert separator._options["shifts"] == 1


def test_a_separator_can_be_sent_to_a_spawned_process() -> None:
    separator = Separator(trained(), device="cpu", callback=note)
    expected = stems_of(separator, noise())
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    process = spawn.Process(target=_in_process, args=(separator, noise(), results))
    process.start()
    found = results.get(timeout=120)
    process.join(60)
    assert process.exitcode == 0
    assert np.array_equal(found, expected.numpy())


def _in_process(separator: Separator, wav: Tensor, results: Any) -> None:
    torch.set_num_threads(1)
    stems_of(separator, wav, results)


def test_what_a_copy_remembers_of_the_memory_is_its_own() -> None:
    separator = Separator(Quarter(), device="cpu")
    separator._options["guard"].batch = 2
    other = pickle.loads(pickle.dumps(separator))
    assert other._options["guard"].batch == 2
    other._options["guard"].halve_batch(2)
    assert separator._options["guard"].batch == 2
