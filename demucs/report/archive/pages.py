"""README of an archived run, and the index of all results: both from result.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demucs.errors import ConfigError
from demucs.evaluation import Results
from demucs.evaluation.metrics.definitions import DEFINITIONS
from demucs.files import atomic_path

RESULT = "result.json"
README = "README.md"
NOTES = "## Notes"  # this line and what follows is the user's, and is kept
MARKS = ("<!-- index: python3 -m tools.archive --index -->", "<!-- end of the index -->")
FILES = {
    "result.json": "command, environment, headline numbers",
    "config.yaml": "the configuration, resolved",
    "history.json": "metrics of each epoch",
    "train.log": "log of the training",
    "slurm*.log": "log of the SLURM job",
    "demo.log": "everything the command printed",
    "evaluation.json": "metrics of each test song and stem, with definitions and versions",
    "evaluation_*.json": "the same of the states after so many epochs",
    "audio/": "a few seconds of a test song (about.txt): mixture, references, estimates",
    "figures/": "drawn from these files by `make results`",
}
SHOWN = {"nsdr": "nSDR", "sdr": "SDR", "sdr_med": "sdr_med"}


def write_readme(folder: Path) -> Path:
    """Writes a run's README.md anew, and keeps everything from `## Notes` on."""
    result = _read(folder)
    path = folder / README
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    notes = old[old.index(NOTES) :] if NOTES in old else ""
    text = "\n\n".join(
        part for part in (_head(result), _numbers(folder), _files(folder), notes.strip()) if part
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def write_index(results: Path) -> Path:
    """Writes the table of all results between its marks in README.md, or below what is there."""
    rows = [
        _row(folder.name, _read(folder))
        for folder in sorted(results.iterdir() if results.is_dir() else ())
        if (folder / RESULT).exists()
    ]
    if not rows:
        raise ConfigError(f"{results} has no folder with {RESULT}: python3 -m tools.archive SIG")
    header = ["| folder | what | how long, on what | nSDR | SDR |", "|---|---|---|---|---|"]
    table = "\n".join([MARKS[0], *header, *rows, MARKS[1]])
    path = results / README
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    if all(mark in old for mark in MARKS):
        head, rest = old.split(MARKS[0], 1)
        text = head + table + rest.split(MARKS[1], 1)[1]
    else:
        text = f"{old.rstrip()}\n\n{table}\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _read(folder: Path) -> dict[str, Any]:
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        if not isinstance(result, dict) or "title" not in result:
            raise ValueError("it has no title")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / RESULT} cannot be read: {error}") from None
    return result


def _row(name: str, result: Mapping[str, Any]) -> str:
    score = result.get("evaluation") or {}
    cells = [
        f"[{name}]({name})",
        str(result["title"]),
        ", ".join(filter(None, [_duration(result.get("training_seconds")), _machine(result)])),
        *(_decibel(score.get(key)) for key in ("nsdr", "sdr")),
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _head(result: Mapping[str, Any]) -> str:
    environment = result.get("environment") or {}
    versions = environment.get("versions") or {}
    epochs, slurm = result.get("epochs") or {}, result.get("slurm") or {}
    facts = [
        f"{epochs.get('done')} of {epochs.get('asked')} epochs, {result.get('state')}"
        if epochs.get("asked")
        else "",
        f"{_duration(result.get('training_seconds'))} of training and validation"
        if result.get("training_seconds")
        else "",
        f"{result['processes']} process{'es' * (result['processes'] > 1)}"
        if result.get("processes")
        else "",
        f"SLURM job {slurm.get('job')}, queued again {slurm.get('restarts')} times"
        if slurm
        else "",
        _machine(result),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"commit {environment['commit']}" if environment.get("commit") else "",
        f"ended {result['ended']}" if result.get("ended") else "",
    ]
    noted = result.get("environment_noted")
    listed = "\n".join(f"- {fact}" for fact in facts if fact)
    where = f"\n\nThe environment was noted {noted}." if noted else ""
    return (
        f"# {result['title']}\n\n```bash\n{result['command']}\n```\n\n"
        f"Experiment `{result.get('signature')}`:\n\n{listed}{where}"
    )


def _numbers(folder: Path) -> str:
    path = folder / "evaluation.json"
    if not path.exists():
        return ""
    results = Results.load(path)
    columns: dict[str, Mapping[str, Any]] = {
        "nSDR of the mixture": results.baseline().get("nsdr", {}),
        **{title: results.aggregates().get(key, {}) for key, title in SHOWN.items()},
    }
    columns = {title: column for title, column in columns.items() if column}
    lines = [f"| stem | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    for stem in [*results.sources, "mean"]:
        cells = [
            _decibel(column["mean"] if stem == "mean" else column["stems"][stem])
            for column in columns.values()
        ]
        lines.append(f"| {stem} | {' | '.join(cells)} |")
    definitions = "\n".join(
        f"- `{key}`: {DEFINITIONS[key]}." for key in SHOWN if key in DEFINITIONS
    )
    return (
        f'Of {len(results.tracks)} test songs, in dB; "of the mixture" is the unprocessed mixture '
        f"taken as every stem:\n\n" + "\n".join(lines) + f"\n\n{definitions}"
    )


def _files(folder: Path) -> str:
    rows = []
    for pattern, meaning in FILES.items():
        paths = sorted(folder.glob(pattern.rstrip("/")))
        if pattern == "evaluation_*.json":
            paths = [path for path in paths if path.name != "evaluation.json"]
        if paths:
            names = ", ".join(f"`{path.name}{'/' if path.is_dir() else ''}`" for path in paths)
            rows.append(f"| {names} | {meaning} |")
    return "\n".join(["| file | what |", "|---|---|", *rows])


def _machine(result: Mapping[str, Any]) -> str:
    environment = result.get("environment") or {}
    devices = environment.get("devices") or []
    if devices:
        return ", ".join(devices)
    processor, cores = environment.get("processor"), environment.get("cores")
    return f"{cores} cores of {processor}" if processor and cores else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def _decibel(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
