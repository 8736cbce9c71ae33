"""The one reader of a training run: what its folder holds, without torch, Hydra or Dora."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs.errors import message_of
from demucs.experiment.record import RUN, RunRecord

HISTORY = "history.json"  # Dora's: the metrics of each epoch
ARGV = ".argv.json"  # Dora's: the overrides
GRID = "job.json"  # of `dora grid`: the job that it submitted
HYDRA_CONFIG = ".hydra/config.yaml"
CONFIG = "config.yaml"  # of a run that was archived
LOGS = ("train.log", "solver.log")  # of this project, and of the public Demucs
TAIL = 8192  # bytes at the end of a log that are looked at
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files in the folder of a run; fields of missing or broken files are empty.

    Attributes:
        folder: `outputs/xps/SIGNATURE`, or one of `demucs_results`.
        record: `run.json`; None for a run of before there was one.
        history: metrics of each epoch; entries that are not, of a broken file, too.
        overrides: as they were typed.
        config: the resolved configuration as YAML.
        job: of SLURM, that `dora grid` submitted; empty without.
        problems: what is wrong, a sentence for each file.
    """

    folder: Path
    record: RunRecord | None
    history: list[Any]
    overrides: list[str]
    config: str
    job: str
    problems: list[str]

    @classmethod
    def read(cls, folder: Path) -> "RunFiles":
        problems: list[str] = []
        record = RunRecord.read(folder)
        if record is None and _is_there(folder / RUN, problems):
            problems.append(f"{RUN} cannot be read: the next run writes it anew")
        history = read_json(folder / HISTORY, list, problems) or []
        overrides = read_json(folder / ARGV, list, problems) or []
        grid = read_json(folder / GRID, dict, problems) or {}
        return cls(
            folder=folder,
            record=record,
            history=history,
            overrides=[str(word) for word in overrides],
            config=read_config(folder),
            job=str(grid.get("job_id") or ""),
            problems=problems,
        )

    def setting(self, key: str) -> str | None:
        """The value of a key such as `test.metric`, from the configuration or the overrides."""
        value = setting(self.config, key)
        if value is not None:
            return value
        typed = [word for word in self.overrides if word.startswith(f"{key}=")]
        return typed[-1].partition("=")[2].strip("'\" ") if typed else None


def read_json(path: Path, kind: type[Any], problems: list[str]) -> Any:
    """The content of a file; None where there is none or it is broken, which is noted.

    Args:
        kind: the type that the content has to be of, `list` or `dict`.
        problems: gets a sentence on what is wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        if not problems:  # in one folder, all files are alike
            problems.append(message_of(error))
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return None
    if not isinstance(content, kind):
        problems.append(f"{path.name} cannot be read: it holds no {kind.__name__}")
        return None
    return content


def parse_history(text: str) -> list[dict[str, Any]]:
    """The epochs of a `history.json`.

    Raises:
        ValueError: not JSON (then a `json.JSONDecodeError`), or not a list of epochs.
    """
    content = json.loads(text)
    if not isinstance(content, list) or not all(isinstance(epoch, dict) for epoch in content):
        raise ValueError("it is not a list with one entry an epoch")
    return content


def read_config(folder: Path) -> str:
    """The configuration as YAML, as Hydra wrote it or as it was archived; empty without."""
    for name in (HYDRA_CONFIG, CONFIG):
        try:
            return (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
    return ""


def setting(config: str, key: str) -> str | None:
    """The value of a key of one or two parts; None where it is not set.

    The text is block-style YAML, of which two levels of indentation are all that is needed here: a
    YAML reader takes longer than everything else together.

    >>> setting("epochs: 3\\ntest:\\n  metric: nsdr\\n", "test.metric")
    'nsdr'
    """
    section, _, name = key.rpartition(".")
    inside = not section
    for line in config.splitlines():
        if not line.startswith(" "):
            inside = line == f"{section}:" if section else True
        if inside and line.startswith(f"{'  ' if section else ''}{name}: "):
            return line.partition(": ")[2].strip("'\" ")
    return None


def finite_number(metrics: Any, *keys: str) -> float | None:
    """The finite number under nested keys of an epoch's metrics; None if there is none.

    >>> finite_number({"valid": {"loss": 0.5}}, "valid", "loss")
    0.5
    """
    value = metrics
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def last_line(paths: Sequence[Path]) -> str:
    """The last line of the first of some logs that has one, without colours."""
    for path in paths:
        lines = [line for line in re.split(r"[\r\n]+", _end(path)) if line.strip()]
        if lines:
            return lines[-1].strip()
    return ""


def _end(path: Path) -> str:
    """The end of a text file, without colours; empty if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return _COLOUR.sub("", file.read().decode(errors="replace"))
    except OSError:
        return ""


def _is_there(path: Path, problems: list[str]) -> bool:
    try:
        return path.exists()
    except OSError as error:
        problems.append(message_of(error))
        return False
