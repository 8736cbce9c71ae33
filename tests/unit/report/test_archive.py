"""Keeping a run among the results: what is copied, what is said of it, and the index."""

import json
from pathlib import Path

import pytest
import soundfile

from demucs.evaluation import Results, TrackResult
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from tools.archive import main
from tools.demo_songs import main as make_songs

SIGNATURE = "0a1b2c3d"
STEMS = ["drums", "bass", "other", "vocals"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's folder with one run of two epochs, and an evaluation of it."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "xps" / SIGNATURE
    (run / ".hydra").mkdir(parents=True)
    history = [
        {"train": {"loss": 1.0 / k}, "seconds": {"train": 50.0, "valid": 10.0}} for k in (1, 2)
    ]
    (run / "history.json").write_text(json.dumps(history))
    (run / ".argv.json").write_text('["epochs=2", "dset=demo"]')
    (run / ".hydra" / "config.yaml").write_text(f"dset:\n  musdb: {tmp_path}/songs\n")
    (run / "train.log").write_text(f"\x1b[36mexperiment in {run}\x1b[0m\n")
    record = {
        "schema": "demucs-run-1", "signature": SIGNATURE, "name": "", "epochs": 3, "epoch": 2,
        "state": "stopped", "job_id": "7", "restarts": 2, "processes": 8,
        "environment": {"processor": "Zen", "cores": 4, "versions": {"torch": "9.9"}},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    for end, value in (("", 4.0), ("_1", 3.0), ("-other", 1.0)):
        evaluation(value).save(tmp_path / "release_models" / f"evaluation_{SIGNATURE}{end}.json")
    return tmp_path


def evaluation(value: float) -> Results:
    values = {metric: dict.fromkeys(STEMS, value) for metric in ("nsdr", "sdr")}
    track = TrackResult(2.0, values, {"nsdr": dict.fromkeys(STEMS, -5.0)})
    return Results(model={"name": SIGNATURE}, settings={}, sources=STEMS, tracks={"a": track})


def test_a_run_is_kept_with_what_is_needed_to_understand_it(here: Path) -> None:
    slurm = here / "slurm_out" / "demucs_train.out"
    slurm.parent.mkdir()
    slurm.write_text(f"saved {here}/outputs\n")
    words = ["--no-sound", "--title", "two epochs", "--log", str(slurm)]
    assert main([SIGNATURE, *words]) == 0
    kept = here / "demucs_results" / SIGNATURE
    found = json.loads((kept / "result.json").read_text())
    assert found["command"] == "python3 -m demucs.train epochs=2 dset=demo"
    assert found["epochs"] == {"done": 2, "asked": 3}
    assert found["training_seconds"] == 120
    assert found["slurm"] == {"job": "7", "restarts": 2}
    assert found["environment"]["processor"] == "Zen"
    assert found["environment_noted"] == "by the run"
    assert found["evaluation"] == {
        "tracks": 1, "baseline_nsdr": -5, "nsdr": 4, "sdr": 4, "sdr_med": 4,
    }  # fmt: skip
    assert (kept / "train.log").read_text() == f"experiment in outputs/xps/{SIGNATURE}\n"
    assert (kept / "config.yaml").read_text() == "dset:\n  musdb: songs\n"
    assert (kept / "slurm.log").read_text() == "saved outputs\n"
    assert Results.load(kept / "evaluation_1.json").summary()["nsdr"] == 3
    assert not (kept / "evaluation-other.json").exists()
    assert not [path for path in kept.rglob("*") if str(here) in path.read_text()]


def test_the_readme_and_the_index_say_what_it_is(here: Path) -> None:
    results = here / "demucs_results"
    results.mkdir()
    (results / "README.md").write_text("# Mine\n\nsome words\n")
    assert main([SIGNATURE, "--no-sound", "--title", "first | try"]) == 0
    readme = results / SIGNATURE / "README.md"
    assert "| drums | -5.00 | 4.00 | 4.00 | 4.00 |" in readme.read_text()
    assert "SLURM job 7, queued again 2 times" in readme.read_text()
    readme.write_text(readme.read_text() + "\n## Notes\n\nmy own words\n")
    assert main([SIGNATURE, "--no-sound"]) == 0
    assert readme.read_text().endswith("## Notes\n\nmy own words\n")
    for _ in range(2):  # written twice, it stands there once
        assert main(["--index"]) == 0
    index = (results / "README.md").read_text()
    assert index.startswith("# Mine\n\nsome words\n")
    row = f"| [{SIGNATURE}]({SIGNATURE}) | first / try | 2 min, 4 cores of Zen | 4.00 | 4.00 |"
    assert index.count(row) == 1


def test_it_has_a_few_seconds_of_sound(here: Path) -> None:
    make_songs([str(here / "songs"), "--train", "0", "--valid", "0", "--test", "1",
                "--seconds", "8", "--samplerate", "8000", "--no-progress"])  # fmt: skip
    arguments = {"channels": 4, "depth": 4, "nfft": 256, "samplerate": 8000, "segment": 4}
    spec = ModelSpec(name="hdemucs", kwargs={"sources": STEMS, **arguments})
    info = ReleaseInfo(signature=SIGNATURE, spec=spec, config={}, provenance={})
    path = here / "release_models" / f"{SIGNATURE}.safetensors"
    save_release(path, build_model(spec).state_dict(), info)
    words = [SIGNATURE, "--musdb", "songs", "--start", "2", "--seconds", "1.5"]
    assert main(words) == 0
    audio = here / "demucs_results" / SIGNATURE / "audio"
    names = {"mixture.flac", "about.txt"}
    names |= {f"{stem}_{kind}.flac" for stem in STEMS for kind in ("reference", "estimate")}
    assert {path.name for path in audio.iterdir()} == names
    read = {path.stem: soundfile.read(path)[0] for path in audio.glob("*.flac")}
    assert all(wav.shape == (12000, 2) for wav in read.values())
    total = sum(read[f"{stem}_reference"] for stem in STEMS)
    assert abs(total - read["mixture"]).max() < 1e-3
    assert "seconds 2.0 to 3.5" in (audio / "about.txt").read_text()
    assert main([*words, "--track", "nobody"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ffffffff"], "no release 'ffffffff'"),
        (["ffffffff", "--no-sound"], "there are: none"),
        ([SIGNATURE, "--name", "a/b"], "--name 'a/b'"),
        ([SIGNATURE, "--log", "absent.out", "--no-sound"], "absent.out"),
        ([SIGNATURE], "tools.export 0a1b2c3d"),
        (["--index", "--results", "nowhere"], "has no folder"),
    ],
)
def test_what_cannot_be_kept_is_said(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], [SIGNATURE, "--index"], [SIGNATURE, "--seconds", "0"]])
def test_a_wrong_command_line_ends_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
