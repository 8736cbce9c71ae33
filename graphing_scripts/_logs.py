"""The lines of training logs: of this project, and of the public Demucs.

A log as SLURM keeps it has colours, progress, and lines of all processes; after a job was queued
again it is appended to the same file, and the public solver first repeats all it has said before.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TIME = re.compile(r"\[?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")

# The public solver. Lines of two processes may run into each other.
SUMMARY = re.compile(
    r"(Train|Valid|Test) Summary \| Epoch (\d+) \| (.*?)"
    r"(?=(?:Train|Valid|Test) Summary \||\[\d{4}-\d\d-\d\d |$)"
)
PUBLIC_RATE = re.compile(r"Train \| Epoch (\d+) \| \d+/(\d+) \| ([\d.]+) (it/sec|sec/it|ms/it)")
PUBLIC_FACTS = (
    ("signature", str, re.compile(r"check \S*xps/([0-9a-f]{8})\b")),
    ("processes", int, re.compile(r"Distributed init: \d+/(\d+)")),
)

# This project's.
EPOCH = re.compile(
    r"epoch (\d+)/(\d+) \|(?: train loss (\S+) \|)?(?: [\d.]+% of steps skipped \|)? "
    r"valid loss (\S+), nSDR (\S+) dB \((\w+)\)"
    r"(?: \| test nSDR (\S+) dB)?(?: \| (\d+) \+ (\d+) s)?\s*$"
)
PROGRESS = re.compile(
    r"(train|valid|valid \w+) (\d+)/\d+ \| (\d+)/(\d+) \| ([\d.]+) (it/s|s/it) \| [\d:]+ left(.*)$"
)
START = re.compile(
    r"experiment ([0-9a-f]{8}) in .*: (\w+) on (\w+)\S*, (\d+) process\(es\), (\d+) thread"
)
TESTED = re.compile(r"test after epoch (\d+)\s*$")
COLUMNS = {"nSDR": "nsdr", "SDR": "sdr", "sdr_med": "sdr_med", "ISR": "isr", "SIR": "sir",
           "SAR": "sar"}  # fmt: skip
SETTING = re.compile(r"(?<=[\s=:])(batch_size|epochs|hdemucs\.channels|dset\.segment)=([\d.]+)\b")
SETTINGS = {"batch_size": ("batch_size", int), "epochs": ("planned", int),
            "hdemucs.channels": ("channels", int), "dset.segment": ("segment", float)}  # fmt: skip


@dataclass
class LogReader:
    """Takes lines one by one; afterwards `epochs` (by number, from 1), `notes` and `facts`."""

    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _progress: dict[str, dict[str, float]] = field(default_factory=dict)
    _table: "TestTable | None" = None

    @classmethod
    def read(cls, texts: Iterable[str]) -> "LogReader":
        """Reads the text of a log, or of its parts in their order."""
        log = cls()
        for text in texts:
            lines = ANSI.sub("", text).splitlines()
            if lines and not text.endswith(("\n", "\r")):
                lines.pop()  # its last number may lack digits
                log.notes.append("the log ends in the middle of a line, which is left out")
            for line in lines:
                log.take(line)
        return log

    @staticmethod
    def first_time(text: str) -> str:
        """The time of the first line that has one, as it is written; empty if none does."""
        match = TIME.search(ANSI.sub("", text))
        return match[1] if match else ""

    def take(self, line: str) -> None:
        """Reads one line, without its end."""
        if self._table is not None and self._table.take(line):
            return
        for match in SUMMARY.finditer(line):
            stage, number, values = match[1].lower(), int(match[2]), _values(match[3])
            if stage == "valid" and isinstance(values.get("bname"), str):
                keys = ("loss", "reco", "nsdr")
                values[values["bname"]] = {key: values[key] for key in keys if key in values}
                self.facts["chosen_only"] = True
            self._keep(number, stage, values)
        if match := EPOCH.search(line):
            self._own_epoch(match)
        elif match := PROGRESS.search(line):
            self._own_progress(match)
        elif match := PUBLIC_RATE.search(line):
            value = float(match[3])
            rate = {"it/sec": value, "sec/it": 1 / (value or 1), "ms/it": 1000 / (value or 1)}
            self._rate(int(match[1]), int(match[2]), rate[match[4]])
        elif match := TESTED.search(line):
            self._table = TestTable(self.epochs.setdefault(int(match[1]), {}))
        else:
            self._learn(line)

    def list_epochs(self) -> list[dict[str, Any]]:
        """From the first epoch to the last; those that the log lacks are empty."""
        return [self.epochs.get(number, {}) for number in range(1, max(self.epochs) + 1)]

    def _keep(self, number: int, stage: str, values: dict[str, Any]) -> None:
        """Stores what a stage found.

        What is said again, by another process or after a restart, changes nothing. Other values
        for an epoch that is past mean that the run went back to before it: it is what came last
        that counts, and what had come after is no longer part of the run.
        """
        if not values:
            return
        before = self.epochs.get(number, {}).get(stage)
        later = [n for n in self.epochs if n > number]
        if before is not None and before != values and later:
            for n in later:
                del self.epochs[n]
            self.epochs[number] = {}
            note = f"the run went back to epoch {number}; of what it did before, epochs " + (
                f"{number}-{max(later)} are left out"
            )
            self.notes.append(note)
        self.epochs.setdefault(number, {})[stage] = values

    def _own_epoch(self, match: re.Match[str]) -> None:
        number, planned, train, loss, nsdr, best, tested, *seconds = match.groups()
        number = int(number)
        self.facts["planned"] = int(planned)
        valid: dict[str, Any] = {"loss": _number(loss), "nsdr": _number(nsdr), "bname": best}
        kept = self._progress.pop("train", {})
        several = self.facts.get("processes", 1) != 1
        if several:
            self.facts["chosen_only"] = True
        for name, values in self._progress.items():
            if not several:  # otherwise these are of the first process's share alone
                valid[name.removeprefix("valid").strip() or "main"] = values
        valid.setdefault(best, {"loss": valid["loss"], "nsdr": valid["nsdr"]})
        self._progress = {}
        if train is not None:
            kept = {"grad": kept["grad"]} if "grad" in kept and not several else {}
            self._keep(number, "train", {"loss": _number(train), **kept})
        self._keep(number, "valid", valid)
        if tested is not None:
            table = self.epochs[number].get("test", {})
            self.epochs[number]["test"] = {**table, "nsdr": _number(tested)}
        if seconds[0] is not None:
            pair = dict(zip(("train", "valid"), map(float, seconds), strict=True))
            self.epochs[number]["seconds"] = pair

    def _own_progress(self, match: re.Match[str]) -> None:
        stage, number, done, total, value, unit, infos = match.groups()
        rate = float(value) if unit == "it/s" else 1 / (float(value) or 1)
        if stage == "train":
            self._rate(int(number), int(total), rate)
        if done == total:
            pairs = (part.split(" ") for part in infos.split(" | ") if part.count(" ") == 1)
            values = {key: _number(text) for key, text in pairs if key}
            self._progress[stage] = {k: v for k, v in values.items() if isinstance(v, float)}

    def _rate(self, epoch: int, batches: int, rate: float) -> None:
        self.facts["batches"] = batches
        self.facts.setdefault("rates", {})[epoch] = rate

    def _learn(self, line: str) -> None:
        """Facts, of lines that are not results."""
        if match := START.search(line):
            self._fact("processes", int(match[4]))
            self.facts |= {"signature": match[1], "model": match[2], "device": match[3],
                           "threads": int(match[5])}  # fmt: skip
            self._progress = {}
        for name, kind, pattern in PUBLIC_FACTS:
            if match := pattern.search(line):
                self._fact(name, kind(match[1]))
        if line.startswith("== ") or "'argv'" in line or "overrides" in line:
            for key, value in SETTING.findall(line):
                name, kind = SETTINGS[key]
                self.facts[name] = kind(float(value))

    def _fact(self, name: str, value: Any) -> None:
        if name in self.facts and self.facts[name] != value:
            self.notes.append(f"{name} changed from {self.facts[name]} to {value} on the way")
        self.facts[name] = value


@dataclass
class TestTable:
    """The table of a test's results, whose lines come one after the other.

    Attributes:
        epoch: the entry that the values go to, such as `test`.
    """

    epoch: dict[str, Any]
    columns: list[str] = field(default_factory=list)

    def take(self, line: str) -> bool:
        """Whether the line was part of the table; False for the first one behind it."""
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] == "stem":
            self.columns = [COLUMNS.get(cell, "") for cell in cells[1:]]
            return True
        if not self.columns:
            return not TIME.match(line)
        if set(line.strip()) == {"-"}:
            return True
        if len(cells) != len(self.columns) + 1:
            self.columns = []
            return False
        for column, cell in zip(self.columns, cells[1:], strict=True):
            value = _number(cell)
            if column and isinstance(value, float):
                key = column if cells[0] == "mean" else f"{column}_{cells[0]}"
                self.epoch.setdefault("test", {})[key] = value
        return True


def _values(text: str) -> dict[str, Any]:
    """`Loss=0.1 | Bname=main` as values by lower-case name."""
    pairs = (part.split("=", 1) for part in text.split("|") if "=" in part)
    return {key.strip().lower(): _number(value.strip()) for key, value in pairs}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
