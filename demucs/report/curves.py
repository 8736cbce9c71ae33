"""The training curves: what a history holds, as panels of series that a browser draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demucs.evaluation.results.published_rows import first_epochs, published
from demucs.experiment.run import finite_number
from demucs.report.run_files import Run

Epoch = Mapping[str, Any]
PUBLIC = "a public run"  # the line of its first epochs
STAGES = ("train", "valid")  # of every epoch; songs are tested only now and then


@dataclass(frozen=True)
class Value:
    """Reads one value of an epoch.

    Attributes:
        places: keys that lead to it; the first place that has it counts.
    """

    places: tuple[tuple[str, ...], ...]

    def __call__(self, epoch: Epoch) -> Any:
        return next((v for place in self.places if (v := _found(epoch, place)) is not None), None)

    def is_due(self, epoch: Epoch) -> bool:
        """Whether the epoch has the stage that the value is of."""
        stages = {place[0] for place in self.places}
        return not stages <= set(STAGES) or any(_stage(epoch, stage) for stage in stages)


@dataclass(frozen=True)
class Panel:
    """One chart, with its values by the name of the line."""

    name: str
    title: str
    unit: str
    definition: str
    lines: Mapping[str, Value]


def curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Charts with at least one number, each with `series` and with `notes` on gaps."""
    histories = [run.history for run in runs]
    charts = []
    for panel in _panels([epoch for history in histories for epoch in history]):
        series = [
            _series(index, name, value, history)
            for name, value in panel.lines.items()
            for index, history in enumerate(histories)
        ]
        series = [line for line in series if any(value is not None for _, value in line["points"])]
        if series:
            chart = {
                "name": panel.name, "title": panel.title, "unit": panel.unit,
                "definition": panel.definition, "lines": list(panel.lines),
                "series": [
                    {key: line[key] for key in ("run", "name", "points")} for line in series
                ],
                "epochs": max(line["points"][-1][0] for line in series),
                "notes": [note for line in series for note in _gaps(line, runs)],
            }  # fmt: skip
            if panel.name == "nsdr":
                _add_public(chart, panel.lines)
            charts.append(chart)
    return charts


def _add_public(chart: dict[str, Any], lines: Iterable[str]) -> None:
    """The first epochs of a public run beside a validation nSDR of the same stems.

    It belongs to no run, and is drawn no further than the runs are.
    """
    content = published()
    stems = set(lines) - {"mean"}
    if not stems <= set(content["sources"]):
        return
    values = [epoch["valid"]["nsdr"] for epoch in first_epochs()]
    points = [[epoch, value] for epoch, value in enumerate(values, 1) if epoch <= chart["epochs"]]
    chart["lines"].append(PUBLIC)
    chart["series"].append({"run": None, "name": PUBLIC, "points": points})
    source, songs = content["first_epochs"]["source"], content["test_set"].partition(",")[0]
    chart["definition"] += (
        f"; {PUBLIC}: the mean in the first {len(values)} epochs of one trained on {songs} "
        f"({source}), to be compared with trainings on the same songs only"
    )


def _panels(epochs: Sequence[Epoch]) -> list[Panel]:
    stems = _names(epochs, "valid", "nsdr_")
    weights = list(dict.fromkeys(
        key for epoch in epochs for key, value in _stage(epoch, "valid").items()
        if isinstance(value, Mapping)
    ))  # fmt: skip
    tested = [("nSDR", "nsdr"), ("SDR", "sdr"), ("SDR, median", "sdr_med")]
    return [
        Panel("loss", "Loss", "", "the training objective, reconstruction and penalty together; "
              "valid: on whole validation songs, of the best of the model and its averages",
              {"train": _at("train", "loss"), "valid": _at("valid", "loss")}),
        Panel("nsdr", "Validation nSDR", "dB", "10 log10 of the energy of a stem over that of its "
              "error, whole songs, mean over songs; mean: over the stems; of the best of the model "
              "and its averages",
              {"mean": _at("valid", "nsdr"), **{s: _at("valid", f"nsdr_{s}") for s in stems}}),
        Panel("sdr", "Validation SDR", "dB", "BSS Eval v4: median over the seconds of a song, "
              "mean over songs, and sdr_med their median; both are means over the stems; of the "
              "best of the model and its averages",
              {"mean": _at("valid", "sdr"), "sdr_med": _at("valid", "sdr_med"),
               **{s: _at("valid", f"sdr_{s}") for s in stems}}),
        Panel("weights", "Validation nSDR of the model and its averages", "dB", "main: the weights "
              "as trained; ema: their exponential moving averages, by batch and by epoch; mean "
              "over the stems",
              {name: _at("valid", name, "nsdr") for name in weights}),
        Panel("weights_loss", "Validation loss of the model and its averages", "", "as above, the "
              "loss: what the best is chosen by, unless test.metric says nsdr or sdr",
              {name: _at("valid", name, "loss") for name in weights}),
        Panel("reco", "Reconstruction loss", "", "the loss without the penalty",
              {**_reco("train", epochs), **_reco("valid", epochs)}),
        Panel("penalty", "Penalty on singular values", "", "sum over layers of the squared largest "
              "singular value, before svd.penalty scales it; train: estimated, mean over the "
              "epoch; valid: exact, at its end",
              {"train": _at("train", "penalty"), "valid": _at("valid", "penalty")}),
        Panel("lr", "Learning rate", "", "of the optimiser, as the history has it",
              {"learning rate": Value((("train", "lr"), ("lr",), ("optim", "lr")))}),
        Panel("test", "Test songs", "dB", "nSDR and SDR as the table of numbers defines them, mean "
              "over the stems, at the epochs that were tested",
              {name: _at("test", key) for name, key in tested}),
    ]  # fmt: skip


def _stage(epoch: Epoch, name: str) -> Mapping[str, Any]:
    metrics = epoch.get(name)
    return metrics if isinstance(metrics, Mapping) else {}


def _names(epochs: Iterable[Epoch], stage: str, start: str) -> list[str]:
    return list(dict.fromkeys(
        key.removeprefix(start) for epoch in epochs for key in _stage(epoch, stage)
        if key.startswith(start)
    ))  # fmt: skip


def _at(*keys: str) -> Value:
    return Value((keys,))


def _found(epoch: Epoch, keys: Iterable[str]) -> Any:
    content: Any = epoch
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _reco(stage: str, epochs: Iterable[Epoch]) -> dict[str, Value]:
    """The reconstruction loss, where it is not the whole loss; a loss of NaN says nothing."""
    reco, loss = _at(stage, "reco"), _at(stage, "loss")
    pairs = ((finite_number(reco(epoch)), finite_number(loss(epoch))) for epoch in epochs)
    differ = any(a is not None and b is not None and a != b for a, b in pairs)
    return {stage: reco} if differ else {}


def _series(run: int, name: str, value: Value, history: Sequence[Epoch]) -> dict[str, Any]:
    """Points are epochs, counted from 1; None breaks the line: NaN and the like, or no data.

    A value that most epochs have no data of, such as that of a run validated now and then, is
    joined over them. `gaps` says where the line is broken, and why.
    """
    raw = [(epoch, value(metrics)) for epoch, metrics in enumerate(history, 1)]
    absent = [epoch for epoch, metrics in enumerate(history, 1) if not value.is_due(metrics)]
    if 2 * len(absent) > len(history):
        absent = []
    points = [
        [epoch, finite_number(number)]
        for epoch, number in raw
        if number is not None or epoch in absent
    ]
    bad = [epoch for epoch, number in raw if number is not None and finite_number(number) is None]
    gaps = [
        f"{problem} at epoch {_listed(where)}"
        for problem, where in (("no finite number", bad), ("no data", absent)) if where
    ]  # fmt: skip
    return {"run": run, "name": name, "points": points, "gaps": gaps}


def _listed(epochs: Sequence[int]) -> str:
    more = f" and {len(epochs) - 8} more" if len(epochs) > 8 else ""
    return ", ".join(str(epoch) for epoch in epochs[:8]) + more


def _gaps(series: Mapping[str, Any], runs: Sequence[Run]) -> list[str]:
    """The gaps of a line, and their reasons."""
    which = f"{runs[series['run']].name}, " if len(runs) > 1 else ""
    return [f"{which}{series['name']}: {'; '.join(series['gaps'])}"] if series["gaps"] else []
