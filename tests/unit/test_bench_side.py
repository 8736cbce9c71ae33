"""A side of a benchmark that ends or is silent ends the benchmark, with what it complained of."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "side.py"
LOOP = "print('ready', flush=True)\nfor line in __import__('sys').stdin:\n    "


def side(tmp_path: Path, code: str, limit: float = 60.0) -> Any:
    spec = importlib.util.spec_from_file_location("bench_side", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Side([sys.executable, "-S", "-c", code], tmp_path, os.environ, limit)


def test_it_answers(tmp_path: Path) -> None:
    one = side(tmp_path, LOOP + "print([len(line)], flush=True)")
    assert one.ask("four") == [5]
    assert one.ask("a") == [2]
    one.end()
    assert one.process.poll() is not None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no such file')", "ended with exit code 1.*no such file"),
        ("print('hello')", "did not say that it is ready.*nothing to standard error"),
        (LOOP + "raise ValueError('too large')", "ended with exit code 1.*too large"),
        (LOOP + "print('nan?', flush=True)", r"answered 'nan\?' to 'go'"),
    ],
)
def test_what_went_wrong_is_told(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(SystemExit, match=f"(?s){said}"):
        side(tmp_path, code).ask("go")


def test_silence_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"said nothing for 0\.2 s"):
        side(tmp_path, "import time; time.sleep(60)", limit=0.2)
