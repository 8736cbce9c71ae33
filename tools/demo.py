"""Runs the whole path on demo songs: make songs, train, export, evaluate, separate, plot, report.

    python3 -m tools.demo                     (what `make demo` runs)
    python3 -m tools.demo --minutes 10        (`make demo MINUTES=10`)
    python3 -m tools.demo --root FOLDER epochs=2 hdemucs.channels=8

Each step is the command that a user would type, and is printed before it runs. Everything is
written below one folder; a second call resumes where the first one stopped. At the start some
training steps are measured, to say how long it will take; with --minutes the training has as many
steps as fit, at most 500.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from demucs.errors import DemucsError
from demucs.files import atomic_path
from demucs.process.children import Commands
from demucs.process.command import run_command
from demucs.process.tool import make_parser

VARIANT = ["dset=demo", "variant=demo"]
SONGS = ["--train", "40", "--valid", "3", "--test", "4", "--seconds", "24", "--seed", "0"]
REPOSITORY = Path(__file__).resolve().parents[1]
STEPS = 500  # of conf/variant/demo.yaml, and of the README's numbers
EPOCHS = 2
FEWEST = 20  # steps, however short the time
OTHERS = 150  # measured steps that take as long as all else: songs, validation, evaluation, ...
LOADED = 1.15  # a step with its data, in measured steps
PLAN = "plan.json"


def main() -> None:
    options = parse(sys.argv[1:])
    try:
        run_demo(options.root, options.overrides, options.minutes)
    except (DemucsError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser("tools.demo", __doc__)
    parser.add_argument("--root", type=Path, default=Path("demo"), help="folder for all files")
    parser.add_argument("--minutes", type=positive, metavar="N", help="most that it may take")
    parser.add_argument("overrides", nargs="*", help="Dora overrides of the training")
    return parser.parse_args(arguments)


def positive(text: str) -> float:
    """A number of minutes.

    Raises:
        ValueError: not a number above 0.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def run_demo(root: Path, overrides: list[str], minutes: float | None = None) -> None:
    root = root.resolve()
    songs, outputs, releases = root / "songs", root / "outputs", root / "release_models"
    separated = root / "separated"
    environment = {**os.environ, "DEMUCS_MUSDB": str(songs), "DEMUCS_OUTPUTS": str(outputs)}
    environment.setdefault("GOMP_SPINCOUNT", "30000")  # this machine is ours: threads may spin
    os.environ.update(environment)  # the signature below is looked up with the same settings
    overrides = [*VARIANT, f"dset.metadata={root / 'metadata'}", *overrides]
    overrides = plan(root, overrides, minutes)
    started = time.monotonic()

    def step(title: str, *arguments: str) -> None:
        minutes = (time.monotonic() - started) / 60
        print(f"\n=== {title} ({minutes:.1f} min)\n$ python3 {shlex.join(arguments)}", flush=True)
        command = [sys.executable, *arguments]
        with Commands() as commands:
            done = commands.run(command, env=environment, cwd=REPOSITORY)
        done.check_returncode()

    step("Demo songs", "-m", "tools.demo_songs", str(songs), *SONGS)
    step("Training", "-m", "demucs.train", *overrides)
    signature = signature_of(overrides)
    release = ["--repo", str(releases), "-n", signature]
    step("Export", "-m", "tools.export", signature, "--out", str(releases))
    results = root / "evaluation.json"
    step("Evaluation", "-m", "tools.test_pretrained", *release, "--out", str(results))
    song = sorted((songs / "test").iterdir())[0]
    pattern = "{track}/{stem}.{ext}"
    step(
        f"Separation of {song.name}",
        *("-m", "demucs.separate", *release, "-o", str(separated), "--filename", pattern),
        str(song / "mixture.wav"),
    )
    history = outputs / "xps" / signature / "history.json"
    step("Figure", "graphing_scripts/training_curves.py", str(history), "--out", str(root))
    places = ["--outputs", str(outputs), "--repo", str(releases), "--results", str(results)]
    step("Report", "-m", "tools.report", signature, *places, "--out", str(root / "report"))
    summary(results)
    print(f"\nTook {(time.monotonic() - started) / 60:.1f} minutes. Everything is in {root}:")
    for content, path in {
        "songs": songs,
        "log, history and checkpoint": outputs / "xps" / signature,
        "model": releases / f"{signature}.safetensors",
        "evaluation": results,
        "training curves": root / "training_curves.png",
        "report": root / "report" / "index.html",
        "separated stems": separated / signature / "mixture",
    }.items():
        print(f"  {content + ':':29}{path.relative_to(root)}")


def plan(root: Path, overrides: list[str], minutes: float | None) -> list[str]:
    """Overrides with which the training fits the time; says how long all will take.

    What was chosen is kept below `root`, so that a second call resumes the same experiment.
    """
    from demucs.experiment.dora_main import plain
    from demucs.train import main as train
    from demucs.training import read_config
    from demucs.training.measure import seconds_per_step

    print("Measuring some training steps ...", flush=True)
    config = train.get_xp(overrides).cfg
    seconds = seconds_per_step(read_config(plain(config)))
    file, asked = root / PLAN, {"minutes": minutes, "overrides": overrides}
    known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    whole = int(config.epochs) * int(config.max_batches or STEPS // EPOCHS)
    steps = whole if minutes is None else steps_within(minutes, seconds, whole)
    if known.get("asked") == asked:
        steps = int(known["steps"])
    root.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps({"asked": asked, "steps": steps}), "utf-8")
    print(
        f"A training step takes about {seconds * LOADED:.2f} s here: {steps} steps and all else "
        f"will take about {minutes_for(steps, seconds):.0f} minutes."
    )
    if steps == whole:
        return overrides
    print(f"The README's numbers are those of {STEPS} steps: expect less of {steps}.")
    return [*overrides, f"max_batches={steps // int(config.epochs)}"]


def steps_within(minutes: float, seconds: float, most: int) -> int:
    """Training steps of `seconds` that fit `minutes` with all else; an even number.

    >>> steps_within(10, 1.0, 500), steps_within(60, 1.0, 500), steps_within(1, 1.0, 500)
    (390, 500, 20)
    """
    steps = int((minutes * 60 / seconds - OTHERS) / LOADED)
    return max(FEWEST, min(most, steps // EPOCHS * EPOCHS))


def minutes_for(steps: int, seconds: float) -> float:
    """The duration of the demo with a training of so many steps of `seconds`."""
    return (steps * LOADED + OTHERS) * seconds / 60


def signature_of(overrides: list[str]) -> str:
    """The signature Dora gives to an experiment with these overrides."""
    from demucs.train import main as train

    return str(train.get_xp(overrides).sig)


def summary(results: Path) -> None:
    """Prints how far the model is above giving the mixture as every stem."""
    from demucs.evaluation import Results

    evaluation = Results.load(results)
    model, mixture = evaluation.aggregates()["nsdr"], evaluation.baseline()["nsdr"]
    print(
        f"\nMean nSDR over the stems: {model['mean']:.2f} dB; the mixture as the estimate of every "
        f"stem: {mixture['mean']:.2f} dB; difference: {model['mean'] - mixture['mean']:.2f} dB."
    )


if __name__ == "__main__":
    run_command(main)
