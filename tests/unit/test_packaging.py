"""What an installation holds, and the versions that it asks for."""

import fnmatch
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: given.update(kwargs))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def tracked(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        pytest.skip("not a clone: git does not list the files of the project")
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def test_every_file_of_the_packages_is_installed(arguments: dict[str, Any]) -> None:
    packages = {name.replace(".", "/") for name in arguments["packages"]}
    for path in tracked("demucs", "tools", "conf"):
        if path.suffix == ".py":
            assert path.parent.as_posix() in packages, path
        else:
            patterns = arguments["package_data"][path.parts[0]]
            inside = path.relative_to(path.parts[0]).as_posix()
            assert any(fnmatch.fnmatch(inside, pattern) for pattern in patterns), path


def oldest(requirements: list[str]) -> dict[str, str]:
    split = [re.split(r"\[.*?\]|>=", name + ">=") for name in requirements]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version, *_ in split}


def test_the_pinned_versions_are_among_those_asked_for(arguments: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split(";")[0].split("==") for line in lines if line[0] != "#")
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    extras = [name for names in arguments["extras_require"].values() for name in names]
    for name, version in oldest([*arguments["install_requires"], *extras]).items():
        assert name in pinned, name
        numbers = [[int(n) for n in re.findall(r"\d+", v)] for v in (pinned[name], version)]
        assert numbers[0] >= numbers[1], name


def test_the_readme_states_the_oldest_python_and_torch(arguments: dict[str, Any]) -> None:
    python = arguments["python_requires"].removeprefix(">=")
    torch = oldest(arguments["install_requires"])["torch"]
    assert f"Python {python} to " in (ROOT / "README.md").read_text()
    assert f"torch {torch} or later" in (ROOT / "README.md").read_text()
