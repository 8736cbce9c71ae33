"""From records to the study and its figures, by the command lines."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import warm
from tests.unit.blind_records import make_records

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "graphing_scripts" / "blind_quality.py")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return warm.run([sys.executable, *command], cwd=ROOT)


@pytest.mark.long
def test_records_become_a_study_and_figures(tmp_path):
    for kind, split in (("studio", "valid"), ("studio", "test"), ("live", "test")):
        for n, one in enumerate(make_records(songs=6, kind=kind, split=split)):
            one.save(tmp_path / "records" / kind / split / f"{n}.json")
    out = tmp_path / "study"
    done = run("-m", "studies.blind_study", "report", str(tmp_path / "records"), "--out", str(out),
               "--draws", "20", "--no-compare")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run(SCRIPT, str(out / "study.json"))
    assert done.returncode == 0, done.stderr
    for name in ("predicted", "scores", "risk", "calibration"):
        for suffix in ("png", "svg"):
            assert (out / f"{name}_nsdr.{suffix}").stat().st_size > 5000


def test_figures_of_a_wrong_file_end_with_a_message(tmp_path):
    path = tmp_path / "study.json"
    path.write_text("[]")
    done = run(SCRIPT, str(path))
    assert done.returncode == 1
    assert "is not a study" in done.stderr


def test_help_brings_no_torch():
    code = "import sys, studies.blind_study as t; t.parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
