"""Songs, trainings and evaluations of `studies.finetune_trial`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demucs.errors import DatasetError
from demucs.evaluation import Results
from demucs.evaluation.results.comparison import compare
from demucs.files import atomic_path
from demucs.grids._finetune import continued, one_source
from demucs.process.children import Commands

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("drums", "bass", "other", "vocals")
SECONDS = 24  # of a song
EPOCHS = 2  # of every training: the better one on the validation songs is kept
METRICS = ("nsdr", "sdr")
# In each arm, what its songs are compared with.
ARMS: dict[str, tuple[str, ...]] = {
    "base": (),
    "longer": ("base",),
    "longer4": ("base",),
    "all": ("base", "longer"),
    "bag": ("base", "all", "longer4"),
}
MINUTES = "minutes.json"  # of each step, so that a second call adds to what the first one took


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The settings of the trial; see `studies.finetune_trial`."""

    out: Path
    base_steps: int
    steps: int
    test_songs: int
    learning_rate: float
    commands: Commands = field(default_factory=Commands)

    def run(self) -> dict[str, Any]:
        """Makes, trains and evaluates what is not done yet; returns the numbers.

        Raises:
            DatasetError: a command failed; its log says why.
        """
        with self.commands:
            self._songs()
            base = self._base()
            signature = self._train("base", base)
            start = f'continue_from="{signature}"'
            self._train("longer", [*base, *self._short(), start])
            self._train("longer4", [*base, *self._short(len(SOURCES)), start])
            recipe = [*continued(base, signature, str(self.out / "mixes")), *self._short()]
            self._train("all", recipe)
            networks = [
                self._train(source, [*recipe, one_source(index, SOURCES)])
                for index, source in enumerate(SOURCES)
            ]
            self._bag(networks)
            results = {arm: self._evaluate(arm) for arm in ARMS}
        return self._numbers(results)

    def _songs(self) -> None:
        songs = ["--train", "40", "--valid", "3", "--test", str(self.test_songs),
                 "--seconds", str(SECONDS), "--seed", "0", "--no-progress"]  # fmt: skip
        self._call("songs", ["-m", "tools.demo_songs", str(self.out / "songs"), *songs])
        folders = [str(self.out / "songs"), str(self.out / "mixes")]
        automix = ["-m", "tools.automix", *folders, "--per-song", "2", "--seed", "0"]
        self._call("mixes", [*automix, "--no-progress"])

    def _base(self) -> list[str]:
        """The overrides of the base model: those of `make demo`, with half the channels."""
        steps = f"max_batches={self.base_steps // EPOCHS}"
        return ["dset=demo", "variant=demo", "hdemucs.channels=8", f"epochs={EPOCHS}", steps]

    def _short(self, times: int = 1) -> list[str]:
        """Overrides of what is continued, after the recipe; other examples than the base's."""
        length = [f"epochs={EPOCHS}", f"max_batches={times * self.steps // EPOCHS}"]
        return [*length, f"optim.lr={self.learning_rate:g}", "seed=43"]

    def _train(self, name: str, overrides: Sequence[str]) -> str:
        """Trains and exports a network under `name`; returns its signature."""
        command = ["-m", "demucs.train", *overrides, f"dset.metadata={self.out / 'metadata'}"]
        signature = self._call(f"check_{name}", [*command, "--check"]).split()[-1]
        if not (self.out / "releases" / f"{signature}.safetensors").is_file():
            self._call(f"train_{name}", command)
            export = ["-m", "tools.export", signature, "-o", str(self.out / "releases")]
            self._call(f"export_{name}", export)
        self._note("signatures.json", name, signature)
        return signature

    def _bag(self, networks: Sequence[str]) -> None:
        rows = [",".join(str(int(k == index)) for k in range(len(SOURCES)))
                for index in range(len(SOURCES))]  # fmt: skip
        self._call("bag", ["-m", "tools.export", *networks, "--bag", "bag", "--weights", *rows,
                           "--force", "-o", str(self.out / "releases")])  # fmt: skip
        self._note("signatures.json", "bag", "bag")

    def _evaluate(self, arm: str) -> Results:
        path = self.out / "evaluations" / f"{arm}.json"
        if not path.is_file():
            release = json.loads((self.out / "signatures.json").read_text("utf-8"))[arm]
            self._call(
                f"evaluate_{arm}",
                ["-m", "tools.test_pretrained", "--repo", str(self.out / "releases"),
                 "-n", release, "--metrics", *METRICS, "--out", str(path)],
            )  # fmt: skip
        return Results.load(path)

    def _call(self, title: str, command: list[str]) -> str:
        """Runs Python with a log of its own; returns its standard output."""
        log = self.out / "logs" / f"{title}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        places = {"DEMUCS_MUSDB": str(self.out / "songs"),
                  "DEMUCS_OUTPUTS": str(self.out / "outputs")}  # fmt: skip
        began = time.monotonic()
        with log.open("a", encoding="utf-8") as file:
            done = self.commands.run(
                [sys.executable, *command], cwd=REPOSITORY, env={**os.environ, **places},
                stdout=subprocess.PIPE, stderr=file,
            )  # fmt: skip
            file.write(done.stdout)
        if done.returncode:
            raise DatasetError(f"{title} failed with exit code {done.returncode}; see {log}")
        minutes = (time.monotonic() - began) / 60
        spent = self._read(MINUTES).get(title, 0)
        self._note(MINUTES, title, round(spent + minutes, 2))
        print(f"{title}: {minutes:.1f} minutes", file=sys.stderr, flush=True)
        return done.stdout

    def _read(self, file: str) -> dict[str, Any]:
        path = self.out / file
        content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return content

    def _note(self, file: str, key: str, value: Any) -> None:
        with atomic_path(self.out / file) as temporary:
            content = self._read(file) | {key: value}
            temporary.write_text(json.dumps(content, indent=1), "utf-8")

    def _numbers(self, results: dict[str, Results]) -> dict[str, Any]:
        """Means over the test songs by arm, and differences between arms, song by song."""
        minutes = self._read(MINUTES)
        return {
            "definitions": "nSDR and SDR (BSS Eval v4, median over seconds) in dB, means over the "
            "test songs",
            "songs": self.test_songs,
            "base_steps": self.base_steps,
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "minutes": minutes | {"sum": round(sum(minutes.values()), 1)},
            "signatures": self._read("signatures.json"),
            "arms": {
                arm: {
                    "values": _values(result),
                    "gains": {other: _gains(results[other], result) for other in ARMS[arm]},
                }
                for arm, result in results.items()
            },
        }


def _values(results: Results) -> dict[str, Any]:
    columns = results.aggregates()
    return {m: {**columns[m]["stems"], "mean": columns[m]["mean"]} for m in METRICS}


def _gains(first: Results, second: Results) -> dict[str, Any]:
    """Second - first by metric and stem, with the interval over songs."""
    gains: dict[str, dict[str, Any]] = {}
    for difference in compare(first, second):
        gains.setdefault(difference.metric, {})[difference.stem] = {
            "mean": difference.mean,
            "interval": difference.interval,
            "better": difference.better,
            "p_value": difference.p_value,
        }
    return gains
