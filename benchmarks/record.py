"""Records of benchmarks as JSON: the numbers of all rounds, and of which machine they are."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from demucs.files import atomic_path

FORMAT = "demucs-benchmark-1"


def table(
    title: str,
    unit: str,
    rounds: Mapping[str, Sequence[float]],
    reference: str | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A table of sides that took turns.

    Args:
        title: what was measured.
        unit: of all values (s, ms or GB): less is better.
        rounds: the values of each side.
        reference: the side whose median is divided by each.
        more: what else was found of a side.
    """
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    rows = []
    for name, values in rounds.items():
        ratio = None if reference is None else medians[reference] / medians[name]
        row = {"label": name, "median": medians[name], "rounds": list(values), "ratio": ratio}
        rows.append({**row, **(more or {}).get(name, {})})
    return {"title": title, "unit": unit, "reference": reference, "rows": rows}


def machine() -> dict[str, Any]:
    """Where and when this runs."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """Its model, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(path: Path | None, name: str, tables: Sequence[dict[str, Any]]) -> None:
    """Writes the tables of benchmark `name`; nothing without a path."""
    if path is None:
        return
    content = {"format": FORMAT, "benchmark": name, "machine": machine(), "tables": list(tables)}
    with atomic_path(path) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(path)
