"""The arms of `studies.distil_trial`: sets, trainings, evaluations and the table of them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from demucs.blind.quality import QUIET
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation import Results
from demucs.files import atomic_path
from demucs.process.children import Commands
from demucs.process.cores import core_count

REPOSITORY = Path(__file__).resolve().parents[2]
HALF = ["--budget", "50%"]
# By arm: how songs are selected (None: none are), and the variant of the training.
ARMS: dict[str, tuple[list[str] | None, str]] = {
    "supervised": (None, "none"),
    "all": (["--select", "all"], "plain"),
    "weighted": (["--select", "all"], "weighted"),
    "random": (["--select", "random", *HALF], "plain"),
    "selected": (["--select", "score", *HALF], "plain"),
    "oracle": (["--select", "oracle", *HALF], "plain"),
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The settings of the trial; see `studies.distil_trial`."""

    out: Path
    songs: Path
    pool: Path
    teacher: str
    repo: Path
    calibration: Path
    tests: dict[str, Path]
    seeds: Sequence[int]
    arms: Sequence[str]
    jobs: int
    overrides: Sequence[str]
    commands: Commands = field(default_factory=Commands)

    def run(self) -> str:
        """Distils, trains and evaluates what is not done yet; returns the table.

        Raises:
            ConfigError: no jobs.
            DatasetError: a command failed; its log says why.
        """
        if self.jobs < 1:
            raise ConfigError(f"--jobs {self.jobs}: give at least 1")
        # Seeds outside: a trial that was cut short has all arms of the first seeds.
        runs = [(arm, seed) for seed in self.seeds for arm in self.arms]
        with ThreadPoolExecutor(self.jobs) as pool, self.commands:
            for arm in self.arms:
                self._distil(arm)
            for student in [pool.submit(self._student, *run) for run in runs]:
                student.result()
        results = self.results()
        text = table(results)
        with atomic_path(self.out / "trial.json") as path:
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        with atomic_path(self.out / "trial.md") as path:
            path.write_text(text + "\n", encoding="utf-8")
        return text

    def _distil(self, arm: str) -> None:
        selection, _ = ARMS[arm]
        folder = self._set(arm)
        if selection is None or (folder / "manifest.json").is_file():
            return
        scores = self.out / "scored" / "scores"
        common = [str(self.pool), "-n", self.teacher, "--repo", str(self.repo), "--truth",
                  "--calibration", str(self.calibration),
                  "--guard", str(self.songs / "test")]  # fmt: skip
        distil = ["-m", "tools.distil", common[0]]
        self._call("score", [*distil, str(scores.parent), *common[1:], "--stage", "score"])
        shutil.copytree(scores, folder / "scores", dirs_exist_ok=True)
        write = [*distil, str(folder), *common[1:], "--stage", "write", *selection]
        self._call(f"distil_{arm}", write)

    def _set(self, arm: str) -> Path:
        """The set of an arm; that of `weighted` is that of `all`."""
        return self.out / "sets" / ("all" if arm == "weighted" else arm)

    def _student(self, arm: str, seed: int) -> None:
        """Trains and evaluates one student, on one part of the cores."""
        name = f"{arm}_{seed}"
        outputs, releases = self.out / "outputs" / arm, self.out / "releases"
        _, variant = ARMS[arm]
        overrides = [*self.overrides, f"seed={seed}", f"dset.musdb={self.songs}"]
        if variant != "none":
            overrides += [f"semi={variant}", f"semi.folder={self._set(arm)}"]
        environment = {"DEMUCS_OUTPUTS": str(outputs)}
        if not (releases / f"{name}.safetensors").is_file():
            began = time.monotonic()
            self._call(f"train_{name}", ["-m", "demucs.train", *overrides], environment)
            print(f"{name}: trained in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
            check = ["-m", "demucs.train", "--check", *overrides]
            signature = self._call(f"check_{name}", check, environment).split()[-1]
            export = ["-m", "tools.export", signature, "--name", name, "-o", str(releases)]
            self._call(f"export_{name}", export, environment)
        for test in self.tests:
            self._evaluate(name, test)

    def _evaluate(self, name: str, test: str) -> None:
        path = self._results(name, test)
        if not path.is_file():
            self._call(
                f"evaluate_{name}_{test}",
                ["-m", "tools.test_pretrained", "--repo", str(self.out / "releases"), "-n", name,
                 "--musdb", str(self.tests[test]), "--no-sdr", "--metrics", "nsdr",
                 "--out", str(path), "test.shifts=0"],
            )  # fmt: skip

    def _results(self, name: str, test: str) -> Path:
        return self.out / "evaluations" / f"{name}_{test}.json"

    def _call(
        self, title: str, command: list[str], environment: dict[str, str] | None = None
    ) -> str:
        """Runs Python with a log of its own; returns its standard output."""
        threads = str(max(1, core_count() // self.jobs))
        settings = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
        log = self.out / "logs" / f"{title}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            done = self.commands.run(
                [sys.executable, *command],
                cwd=REPOSITORY,
                env={**os.environ, **settings, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=file,
            )
            file.write(done.stdout)
        if done.returncode:
            raise DatasetError(f"{title} failed with exit code {done.returncode}; see {log}")
        return done.stdout

    def results(self) -> dict[str, Any]:
        """Mean nSDR over songs of each student on each test, by stem, and what was selected."""
        students = {}
        for arm in self.arms:
            for seed in self.seeds:
                name = f"{arm}_{seed}"
                tests = {t: Results.load(self._results(name, t)) for t in self.tests}
                students[name] = {
                    "arm": arm,
                    "seed": seed,
                    "nsdr": {t: _by_stem(results) for t, results in tests.items()},
                }
        return {
            "definition": "nSDR in dB, mean over the test songs, of stems that play",
            "overrides": list(self.overrides),
            "teacher": self.teacher,
            "songs": {arm: self._selected(arm) for arm in self.arms},
            "students": students,
        }

    def _selected(self, arm: str) -> dict[str, Any]:
        """The number of songs of an arm, and the mean true nSDR of their stems that play, in dB."""
        if ARMS[arm][0] is None:
            return {"songs": 0, "true_nsdr": {}}
        values: dict[str, list[float]] = {}
        songs = sorted(self._set(arm).glob("train/*/distilled.json"))
        for path in songs:
            content = json.loads(path.read_text(encoding="utf-8"))
            true = content["true"]
            stems = zip(content["quality"]["sources"], true["nsdr"], true["level"], strict=True)
            for stem, nsdr, level in stems:
                if nsdr is not None and level > QUIET:
                    values.setdefault(stem, []).append(nsdr)
        return {
            "songs": len(songs),
            "true_nsdr": {name: mean(v) for name, v in values.items()},
        }


def _by_stem(results: Results) -> dict[str, float]:
    nsdr = results.aggregates()["nsdr"]
    return {**nsdr["stems"], "mean": nsdr["mean"]}


def table(trial: dict[str, Any]) -> str:
    """Markdown: the quality of the labels, and for each test that of the students."""
    students = list(trial["students"].values())
    lines = ["Labels: songs, and the mean true nSDR in dB of the teacher's stems.", ""]
    lines += _labels(trial["songs"])
    lines += ["", f"Students: {trial['definition']}; mean ± standard deviation over seeds.", ""]
    for test in students[0]["nsdr"]:
        lines += [*_gains(students, test), ""]
    return "\n".join(lines).rstrip()


def _labels(songs: dict[str, Any]) -> list[str]:
    sources = next(
        (list(labels["true_nsdr"]) for labels in songs.values() if labels["true_nsdr"]), []
    )
    lines = [f"| arm | songs | {' | '.join([*sources, 'mean'])} |"]
    lines.append("|---" * (len(sources) + 3) + "|")
    for arm, labels in songs.items():
        if labels["true_nsdr"]:
            values = [labels["true_nsdr"][stem] for stem in sources]
            cells = " | ".join(f"{value:.2f}" for value in (*values, mean(values)))
            lines.append(f"| {arm} | {labels['songs']} | {cells} |")
    return lines


def _gains(students: Sequence[dict[str, Any]], test: str) -> list[str]:
    """Rows by arm; `gain` is over the supervised student of the same seed."""
    stems = list(students[0]["nsdr"][test])
    lines = [f"| {test} | {' | '.join(stems)} | gain |", "|---" * (len(stems) + 2) + "|"]
    base = {s["seed"]: s["nsdr"][test]["mean"] for s in students if s["arm"] == "supervised"}
    for arm in dict.fromkeys(student["arm"] for student in students):
        of_arm = [student for student in students if student["arm"] == arm]
        cells = [_spread([student["nsdr"][test][stem] for student in of_arm]) for stem in stems]
        gains = [o["nsdr"][test]["mean"] - base[o["seed"]] for o in of_arm if o["seed"] in base]
        lines.append(f"| {arm} | {' | '.join(cells)} | {_spread(gains)} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
