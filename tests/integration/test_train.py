"""Training as it is typed, on a tiny dataset: `python -m demucs.train` and `dora run`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from demucs.training import load_checkpoint
from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
RATE = 8000
TINY = [
    "model=hdemucs",
    "hdemucs.channels=4",
    "hdemucs.nfft=256",
    "hdemucs.depth=4",
    "dset.samplerate=8000",
    "dset.musdb_samplerate=8000",
    "dset.segment=0.6",
    "dset.shift=0.1",
    "augment.repitch.proba=0",
    "augment.remix.group_size=2",
    "batch_size=4",
    "model_segment=1",
    "misc.num_workers=1",
    "ema.batch=[0.5]",
]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs to train on, two to validate and one to test, of a second and a half."""
    root = tmp_path_factory.mktemp("songs")
    noise = np.random.default_rng(0)
    seconds = np.arange(RATE * 3 // 2) / RATE
    for split, count in {"train": 3, "valid": 2, "test": 1}.items():
        for k in range(count):
            for place, source in enumerate(("drums", "bass", "other", "vocals"), 1):
                tone = 0.1 * np.sin(2 * np.pi * 60 * place * (k + 1) * seconds)
                wav = tone[:, None] + 0.02 * noise.standard_normal((len(seconds), 2))
                path = root / split / f"{split}{k}" / f"{source}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wav.astype(np.float32), RATE, subtype="FLOAT")
    return root


def command(songs: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    """Arguments of `subprocess` for a command of this project, run in the repository."""
    environment = {
        **os.environ,
        "DEMUCS_MUSDB": str(songs),
        "OMP_NUM_THREADS": "1",
        "DEMUCS_OUTPUTS": str(folder / "outputs"),
    }
    return {
        "args": [sys.executable, "-m", *arguments, f"dset.metadata={folder / 'metadata'}"],
        "env": environment,
        "cwd": REPOSITORY,
    }


def train(songs: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return warm.run(**command(songs, folder, "demucs.train", *TINY, *arguments))


def only_experiment(folder: Path) -> Path:
    (experiment,) = (folder / "outputs" / "xps").iterdir()
    return experiment


def test_two_epochs_leave_a_checkpoint_a_history_and_a_log(songs: Path, tmp_path: Path) -> None:
    done = train(songs, tmp_path, "epochs=2", "test.every=2", "test.sdr=false")
    assert done.returncode == 0, done.stderr
    experiment = only_experiment(tmp_path)
    content = load_checkpoint(experiment / "checkpoint.th")
    assert (content["epoch"], content["signature"]) == (2, experiment.name)
    assert content["spec"]["name"] == "hdemucs"
    assert content["config"]["epochs"] == 2
    assert content["data"]["tracks"] == {"train": 3, "valid": 2, "test": 1}
    history = json.loads((experiment / "history.json").read_text())
    assert [set(epoch) for epoch in history] == [
        {"train", "valid", "seconds"},
        {"train", "valid", "seconds", "test"},
    ]
    assert f"python3 -m tools.export {experiment.name}" in done.stdout
    assert str(experiment / "checkpoint.th") in done.stdout
    assert "epoch 2/2" in (experiment / "train.log").read_text()
    assert "Hydra" not in done.stderr


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(
    songs: Path, tmp_path: Path
) -> None:
    overrides = ("epochs=3", "test.every=0")
    kwargs = command(songs, tmp_path / "killed", "demucs.train", *TINY, *overrides)
    with subprocess.Popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs) as run:  # type: ignore[call-overload]
        deadline = time.monotonic() + 300
        checkpoints = tmp_path / "killed" / "outputs" / "xps"
        while not list(checkpoints.glob("*/checkpoint.th")) and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    assert load_checkpoint(only_experiment(tmp_path / "killed") / "checkpoint.th")["epoch"] < 3
    for folder in ("killed", "whole"):
        done = train(songs, tmp_path / folder, *overrides)
        assert done.returncode == 0, done.stderr
        assert ("resuming after" in done.stdout) == (folder == "killed")
    killed, whole = (
        load_checkpoint(only_experiment(tmp_path / folder) / "checkpoint.th")
        for folder in ("killed", "whole")
    )
    assert killed["model"].keys() == whole["model"].keys()
    assert all(torch.equal(killed["model"][name], whole["model"][name]) for name in whole["model"])
    assert killed["best"]["metric"] == whole["best"]["metric"]
    # Another value of a key is another experiment, and does not begin without a word.
    (signature,) = [path.name for path in (tmp_path / "killed/outputs/xps").iterdir()]
    changed = train(songs, tmp_path / "killed", "epochs=1", "test.every=0")
    (line,) = [line for line in changed.stdout.splitlines() if "new experiment" in line]
    assert f"is {signature}, which differs in epochs (3 there, 1 here)." in line


def asked_to_end(
    number: signal.Signals, *, group: bool, folder: Path, **kwargs: Any
) -> "tuple[int, str]":
    """Starts a run, signals it after its first epoch, and waits; exit code and output."""
    log = folder / "output"
    with open(log, "w") as output:
        run = subprocess.Popen(stdout=output, stderr=output, start_new_session=True, **kwargs)
        deadline = time.monotonic() + 300
        while "epoch 1/" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        (os.killpg if group else os.kill)(run.pid, number)
        run.wait(300)
    return run.returncode, log.read_text()


@pytest.mark.long
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores, one for a reader")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_all_processes_of_a_job_spares_the_readers(
    songs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As SLURM sends it: to the run and to those that read audio for it."""
    overrides = ("epochs=500", "test.every=0", "misc.num_workers=1")
    kwargs = command(songs, tmp_path, "demucs.train", *TINY, *overrides)
    code, output = asked_to_end(number, group=True, folder=tmp_path, **kwargs)
    assert "1 reader(s)" in output
    assert code == 85, output
    assert "Traceback" not in output
    assert "saved; the same command continues" in output
    assert load_checkpoint(only_experiment(tmp_path) / "checkpoint.th")["epoch"] >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_launched_processes_save_together(
    songs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    overrides = ("epochs=500", "test.every=0")
    kwargs = command(songs, tmp_path, "tools.launch", "2", *TINY, *overrides)
    code, output = asked_to_end(number, group=False, folder=tmp_path, **kwargs)
    assert code == 85, output
    assert "2 process(es)" in output
    assert "Traceback" not in output
    assert "saved; the same command continues" in output


def test_the_second_run_of_an_experiment_is_refused(songs: Path, tmp_path: Path) -> None:
    """Also of several processes each: they meet at a port of their own."""
    overrides = ("epochs=500", "test.every=0", "misc.timeout=1")
    kwargs = command(songs, tmp_path, "tools.launch", "2", *TINY, *overrides)
    with subprocess.Popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs) as first:
        deadline = time.monotonic() + 300
        checkpoints = tmp_path / "outputs" / "xps"
        while not list(checkpoints.glob("*/checkpoint.th")) and time.monotonic() < deadline:
            time.sleep(0.02)
        second = subprocess.run(capture_output=True, text=True, check=False, timeout=300, **kwargs)
        assert second.returncode == 1
        assert "is being trained already, by process" in second.stderr
        first.send_signal(signal.SIGTERM)
        assert first.wait(300) == 85


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dset.musdb=/does/not/exist"], ["/does/not/exist", "DEMUCS_MUSDB"]),
        (["model=unet"], ["model=unet", "hdemucs", "DEMUCS_PLUGINS"]),
        (["weights=[1]"], ["weights=[1.0]", "vocals"]),
        (["epoch=3"], ["epoch"]),
        (["continue_from=12345678"], ["12345678", "none"]),
    ],
)
def test_what_cannot_work_ends_with_one_message_before_training(
    songs: Path, tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    done = train(songs, tmp_path, *overrides)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words)
    assert not list(tmp_path.glob("**/checkpoint.th"))


def test_a_broken_file_ends_with_one_message(songs: Path, tmp_path: Path) -> None:
    root = tmp_path / "songs"
    for path in songs.glob("*/*/*.wav"):
        target = root / path.relative_to(songs)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (root / "train" / "train1" / "bass.wav").write_bytes(b"no wav")
    done = train(root, tmp_path, "epochs=1")
    assert done.returncode == 1
    assert "train1/bass.wav" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "override", ["misc.reference=/nope", "continue_from=deadbeef", "continue_pretrained=foo"]
)
def test_check_refuses_what_a_run_cannot_start_from(
    songs: Path, tmp_path: Path, override: str
) -> None:
    done = train(songs, tmp_path, "--check", override)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert override.partition("=")[2] in done.stderr


def test_show_prints_the_model_and_trains_nothing(songs: Path, tmp_path: Path) -> None:
    done = train(Path("/does/not/exist"), tmp_path, "misc.show=true")
    assert done.returncode == 0
    assert "million parameters" in done.stdout
    assert not list(tmp_path.glob("**/checkpoint.th"))


def test_help_shows_examples(songs: Path, tmp_path: Path) -> None:
    done = train(songs, tmp_path, "--help")
    assert done.returncode == 0
    assert "python3 -m demucs.train model=hdemucs" in done.stdout


@pytest.mark.long
def test_two_processes_end_with_the_message_of_the_first(tmp_path: Path) -> None:
    kwargs = command(Path("/does/not/exist"), tmp_path, "tools.launch", "2", *TINY)
    done = subprocess.run(capture_output=True, text=True, check=False, timeout=300, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 1
    assert "error: The dataset folder /does/not/exist" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_two_processes_train_what_one_does(songs: Path, tmp_path: Path) -> None:
    overrides = ("epochs=1", "test.every=1", "test.sdr=false", "svd.penalty=1e-5")
    alone = train(songs, tmp_path / "one", *overrides)
    assert alone.returncode == 0, alone.stderr
    arguments = ("tools.launch", "2", *TINY, *overrides)
    both = subprocess.run(
        capture_output=True, text=True, check=False, **command(songs, tmp_path / "two", *arguments)
    )  # type: ignore[call-overload]
    assert both.returncode == 0, both.stderr
    assert "2 process(es)" in both.stdout
    histories = [
        json.loads((only_experiment(tmp_path / name) / "history.json").read_text())[0]
        for name in ("one", "two")
    ]
    for stage in ("train", "valid", "test"):
        for key in ("loss", "nsdr", "reco_vocals", "nsdr_bass"):
            if key in histories[0][stage]:
                values = [history[stage][key] for history in histories]
                assert values[1] == pytest.approx(values[0], abs=1e-3), (stage, key)


# Run before training: notes the functions of the project through which the first step is called.
NOTE_CALLERS = """
import sys
from pathlib import Path

from demucs import train
from demucs.nn import HDemucs

forward, package = HDemucs.forward, str(Path(train.__file__).parent)

def noted(self, mix):
    frame, name = sys._getframe(1), ""
    while self.training and name != "main":
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file.startswith(package):
            print("called by", file, name, file=sys.stderr)
        frame = frame.f_back
    return forward(self, mix)

HDemucs.forward = noted
train.main()
"""


def test_the_way_from_the_command_to_the_network_is_short(songs: Path, tmp_path: Path) -> None:
    kwargs = command(songs, tmp_path, *TINY, "epochs=1", "max_batches=1", "test.every=0")
    kwargs["args"][1] = "-c"
    kwargs["args"].insert(2, NOTE_CALLERS)
    done = subprocess.run(capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, done.stderr
    callers = [line.split() for line in done.stderr.splitlines() if line.startswith("called by")]
    assert callers[-1][-1] == "main"
    assert 5 <= len(callers) <= 8, callers
    assert len({file for _, _, file, _ in callers}) <= 5, callers
