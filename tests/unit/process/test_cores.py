"""Cores that a process may use: its affinity, and the quota of its container."""

import os
from pathlib import Path

import pytest

from demucs.process import cores
from demucs.process.cores import core_count


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("9000000 100000", 8),
     ("", 8), ("nonsense here", 8), ("1 0", 8)],
)  # fmt: skip
def test_a_quota_of_the_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    file = tmp_path / "cpu.max"
    file.write_text(text)
    monkeypatch.setattr(cores, "_QUOTA", file)
    assert core_count() == expected
    file.unlink()
    assert core_count() == 8


def test_without_affinity_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert core_count() == 1
