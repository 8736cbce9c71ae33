"""The whole path on demo songs: make songs, train, export, evaluate, separate one, plot, report.

    python3 -m tools.demo                     (what `make demo` runs)
    python3 -m tools.demo --root FOLDER epochs=2 hdemucs.channels=8

Each step is the command that a user would type, and is printed before it runs. Everything is
written below one folder; a second call goes on where the first one stopped.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from demucs.errors import DemucsError
from demucs.process.children import Commands
from demucs.process.command import run_command

VARIANT = ["dset=demo", "variant=demo"]
SONGS = ["--train", "40", "--valid", "3", "--test", "4", "--seconds", "24", "--seed", "0"]
REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    options = parse()
    try:
        run_demo(options.root, options.overrides)
    except (DemucsError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tools.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--root", type=Path, default=Path("demo"), help="folder for all files")
    parser.add_argument("overrides", nargs="*", help="Dora overrides of the training")
    return parser.parse_args()


def run_demo(root: Path, overrides: list[str]) -> None:
    root = root.resolve()
    songs, outputs, releases = root / "songs", root / "outputs", root / "release_models"
    separated = root / "separated"
    environment = {**os.environ, "DEMUCS_MUSDB": str(songs), "DEMUCS_OUTPUTS": str(outputs)}
    environment.setdefault("GOMP_SPINCOUNT", "30000")  # this machine is ours: threads may spin
    os.environ.update(environment)  # the signature below is looked up with the same settings
    overrides = [*VARIANT, f"dset.metadata={root / 'metadata'}", *overrides]
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
    for what, where in {
        "songs": songs,
        "log, history and checkpoint": outputs / "xps" / signature,
        "model": releases / f"{signature}.safetensors",
        "evaluation": results,
        "training curves": root / "training_curves.png",
        "report": root / "report" / "index.html",
        "separated stems": separated / signature / "mixture",
    }.items():
        print(f"  {what + ':':29}{where.relative_to(root)}")


def signature_of(overrides: list[str]) -> str:
    """The signature Dora gives to an experiment with these overrides."""
    from demucs.train import main as train

    return str(train.get_xp(overrides).sig)


def summary(results: Path) -> None:
    """Prints how far the model is above giving the mixture as every stem."""
    from demucs.evaluation import Results

    found = Results.load(results)
    model, mixture = found.aggregates()["nsdr"], found.baseline()["nsdr"]
    print(
        f"\nMean nSDR over the stems: {model['mean']:.2f} dB; the mixture as the estimate of every "
        f"stem: {mixture['mean']:.2f} dB; difference: {model['mean'] - mixture['mean']:.2f} dB."
    )


if __name__ == "__main__":
    run_command(main)
