"""The copy of a run that is kept: its files without paths of this machine, and result.json."""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from demucs.errors import CheckpointError, ModelNotFoundError
from demucs.evaluation import Results
from demucs.experiment.environment import describe
from demucs.experiment.record import LOG, RunRecord, with_checkpoint
from demucs.experiment.run import ARGV, HISTORY, HYDRA_CONFIG
from demucs.files import atomic_path
from demucs.release.checkpoint import newest_checkpoint_file

RESULT = "result.json"
SCHEMA = "demucs-result-1"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def archive(args: argparse.Namespace, folder: Path) -> Path:
    """Copies a run into `folder`, made if need be, and describes it in result.json.

    Raises:
        ModelNotFoundError: there is no such run, or it has trained no epoch.
        OSError: a file that was asked for cannot be read, or the folder cannot be written.
    """
    source = args.dora_dir / "xps" / args.signature
    history = _history(source)
    logs = [_clean(path.read_text(encoding="utf-8", errors="replace")) for path in args.log]
    evaluations = find_evaluations(args.repo, args.signature)
    old = _content(folder / RESULT)
    record = RunRecord.read(source)
    overrides = _content(source / ARGV)
    command = args.command or f"python3 -m demucs.train {' '.join(map(str, overrides or []))}"
    result = {
        "schema": SCHEMA,
        "title": args.title or (old or {}).get("title") or args.signature,
        "command": command,
        "signature": args.signature,
        "overrides": overrides,
        "state": record.state if record else None,
        "epochs": {"done": len(history), "asked": record.epochs if record else None},
        "training_seconds": _seconds(history),
        "processes": record.processes if record else None,
        "slurm": {"job": record.job_id, "restarts": record.restarts}
        if record and record.job_id
        else None,
        "ended": record.updated if record and record.state != "running" else None,
        **_environment(record),
        "evaluation": _summary(evaluations.get("evaluation.json")),
    }
    _write(folder / HISTORY, json.dumps(history, indent=2) + "\n")
    _write(folder / "config.yaml", _clean(_config(source)))
    log = source / LOG
    if log.exists():
        _write(folder / LOG, _clean(log.read_text(encoding="utf-8", errors="replace")))
    for number, text in enumerate(logs):
        _write(folder / f"slurm{'' if not number else f'_{number + 1}'}.log", text)
    for name, results in evaluations.items():
        results.save(folder / name)
    _write(folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return folder


def find_evaluations(repo: Path, signature: str) -> dict[str, Results]:
    """The results in a release folder, by the name they are kept under.

    `evaluation_SIG.json` becomes evaluation.json, and `evaluation_SIG_9.json`, of the state after
    nine epochs, evaluation_9.json.
    """
    evaluations = {}
    for path in sorted(repo.glob(f"evaluation_{signature}*.json")):
        suffix = path.stem.removeprefix(f"evaluation_{signature}")
        if re.fullmatch(r"(_\d+)?", suffix):
            evaluations[f"evaluation{suffix}.json"] = Results.load(path)
    return evaluations


def _history(source: Path) -> list[Any]:
    history = _content(source / HISTORY)
    if isinstance(history, list) and history:
        return history
    signatures = ", ".join(with_checkpoint(source.parent)) or "none"
    raise ModelNotFoundError(
        f"{source} has no history of an epoch, so there is nothing to keep; there are: "
        f"{signatures}. Give another folder with --dora_dir, or train first"
    )


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def _config(source: Path) -> str:
    """The configuration as the run had it, from its checkpoint, or else what Hydra noted."""
    try:
        checkpoint = newest_checkpoint_file(source)
    except CheckpointError:
        checkpoint = None
    if checkpoint is not None:
        return yaml.safe_dump(dict(checkpoint[1]["config"]), sort_keys=False, allow_unicode=True)
    return (source / HYDRA_CONFIG).read_text(encoding="utf-8")


def _environment(record: RunRecord | None) -> dict[str, Any]:
    if record and record.environment:
        return {"environment": record.environment, "environment_noted": "by the run"}
    # The machine may be the same; the code may have changed since.
    noted = {key: value for key, value in describe().items() if key != "commit"}
    return {"environment": noted, "environment_noted": "when it was archived"}


def _seconds(history: list[Mapping[str, Any]]) -> float | None:
    seconds = [sum(epoch["seconds"].values()) for epoch in history if "seconds" in epoch]
    return round(sum(seconds), 1) if seconds else None


def _summary(results: Results | None) -> dict[str, Any] | None:
    if results is None:
        return None
    aggregates = results.aggregates()
    shown = ("nsdr", "sdr", "sdr_med")
    return {
        "tracks": len(results.tracks),
        "baseline_nsdr": (results.baseline().get("nsdr") or {}).get("mean"),
        **{name: aggregates[name]["mean"] for name in shown if name in aggregates},
    }


def _clean(text: str) -> str:
    """A text without colours, with paths relative to the repository or the home folder."""
    text = COLOUR.sub("", text)
    # A run of another checkout tells where that was: the folder above outputs/xps/SIGNATURE.
    for place in set(re.findall(r"(/\S+?)/[^/\s]+/xps/\w+", text)):
        text = text.replace(f"{place}/", "")
    for place, short in ((Path.cwd(), ""), (Path(__file__).resolve().parents[3], "")):
        text = text.replace(f"{place}/", short)
    return text.replace(f"{Path.home()}/", "~/")


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
