#!/usr/bin/env python3
"""Draws the figures of all results again from their JSON, for `make results`.

    python3 graphing_scripts/redraw.py demucs_results

For each folder in there, calls the scripts of this folder that have something to draw from it.
Figures of a training go to FOLDER/figures, those of a study beside its JSON.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from demucs.process.command import run_command

SCRIPTS = Path(__file__).resolve().parent


def main() -> None:
    options = parse_options()
    jobs = [job for folder in folders(options.results) for job in jobs_of(folder)]
    if not jobs:
        sys.exit(
            f"redraw: {options.results} has no results: give demucs_results, or one of its folders"
        )
    failed = [job for job in jobs if subprocess.run([sys.executable, *job], check=False).returncode]
    for job in failed:
        print(f"redraw: this failed: python3 {' '.join(job)}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="demucs_results, or one folder of it")
    return parser.parse_args(argv)


def folders(results: Path) -> list[Path]:
    """The folder itself, and those in it."""
    return [results, *sorted(path for path in results.glob("*/") if path.is_dir())]


def jobs_of(folder: Path) -> Iterator[list[str]]:
    """Command lines of the scripts that have something to draw here."""
    figures = ["--out", str(folder / "figures")]
    evaluations = sorted(folder.glob("evaluation*.json"))
    if (folder / "history.json").exists():
        yield job("training_curves", folder / "history.json", *figures)
    if (folder / "evaluation.json").exists():
        yield job("track_distribution", folder / "evaluation.json", *figures)
    if len(evaluations) > 1:
        later = [path for path in evaluations if path.name != "evaluation.json"]
        yield job("test_metrics", *later, *figures)
    if next(folder.glob("audio/mixture.*"), None):
        yield job("spectrograms", folder / "audio", *figures)
    if (folder / "study.json").exists():
        records = [folder / "records.tar.xz"] if (folder / "records.tar.xz").exists() else []
        yield job(
            "blind_quality", folder / "study.json", *(["--records", *records] if records else [])
        )
    if (folder / "trial.json").exists():
        yield job("distil_trial", folder / "trial.json")
    if speeds := sorted(folder.glob("bench_*.json")):
        yield job("speed", *speeds, "--out", folder)
    if runs := sorted(folder.glob("processes_*/history.json")):
        numbered = [f"{path.parent.name.removeprefix('processes_')}={path}" for path in runs]
        yield job("scaling", *numbered, *batch_size(folder), "--out", folder)


def batch_size(folder: Path) -> list[object]:
    """The option that a scaling needs, from result.json; nothing where that does not say."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return ["--batch-size", int(result["batch_size"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def job(script: str, *arguments: object) -> list[str]:
    return [str(SCRIPTS / f"{script}.py"), *map(str, arguments)]


if __name__ == "__main__":
    run_command(main)
