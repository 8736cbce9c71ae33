"""Unit tests: patient hypothesis, and the list of those that `make quick` leaves out.

python -m pytest tests/unit --note-slow     writes the list anew, on a machine that is quiet
"""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
LIST = HERE / "slow.txt"
SLOW = 0.25  # seconds of one case of a test, with its fixtures
ALL_CASES = 1.0  # seconds of all cases of a test

settings.register_profile("patient", deadline=None)  # machines of CI are shared
settings.load_profile("patient")
_seconds: Counter[str] = Counter()  # by case


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--note-slow", action="store_true", help="write tests/unit/slow.txt anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what the list names; a new test is quick until it is measured."""
    slow = set(LIST.read_text(encoding="utf-8").split())
    for item in items:
        if _function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--note-slow", False) and not hasattr(
        session.config, "workerinput"
    ):
        longest: Counter[str] = Counter()
        together: Counter[str] = Counter()
        for case, seconds in _seconds.items():
            name = _function(case)
            longest[name] = max(longest[name], seconds)
            together[name] += seconds
        slow = [
            name for name in sorted(longest) if longest[name] > SLOW or together[name] > ALL_CASES
        ]
        LIST.write_text("".join(f"{name}\n" for name in slow), encoding="utf-8")


def _function(case: str) -> str:
    """`room/test_file.py::test` of a case such as `tests/unit/room/test_file.py::test[1]`.

    Names of cases may hold any character, but no test's name has a bracket.
    """
    return case.removeprefix("tests/unit/").partition("[")[0]
