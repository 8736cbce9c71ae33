"""Songs, examples and measures of the traces of the public solver, on our side."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demucs.data.augment import StemDraw
from demucs.training.config.schema import TrainConfig
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.optim.ema import WeightAverage, best_name, swapped_state
from demucs.training.optim.svd import svd_penalty
from demucs.training.stages.validation import validate

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("golden", "unit")]
import training_trace_cases as cases  # noqa: E402


class Song:
    """A song to validate on, as if read from a file and normalised."""

    def __init__(self, wav: Tensor) -> None:
        self.wav = wav

    def stems(self) -> Tensor:
        return self.wav

    def normalize(self, wav: Tensor) -> Tensor:
        return wav

    restore = normalize


def batches(epoch: int, draws: list[Any]) -> Iterator[Tensor]:
    """`[B, S, C, T]`: each stem cropped, swapped and scaled as the public augmentation drew it."""
    segments = cases.segments()
    frames = round((cases.SEGMENT - cases.SHIFT) * cases.RATE)
    for number, places in enumerate(cases.order(epoch)):
        examples = []
        for drawn in draws[epoch * cases.BATCHES + number]:
            stems = []
            for stem, (origin, offset, swap, gain) in enumerate(drawn):
                wav = segments[places[origin]][stem][:, offset : offset + frames]
                stems.append(StemDraw(offset, bool(swap), gain).apply(wav))
            examples.append(torch.stack(stems))
        yield torch.stack(examples)


def means_of(
    model: nn.Module, averages: Mapping[str, WeightAverage], options: TrainConfig
) -> dict[str, Any]:
    """The validation of the model and each of its averages, which is best, and the penalty."""
    songs: list[Any] = [Song(wav) for wav in cases.valid_songs()]
    valid: dict[str, Any] = {"main": validate(model, songs, options, ProcessGroup())}
    for name, average in averages.items():
        with swapped_state(model, average.state):
            valid[name] = validate(model, songs, options, ProcessGroup())
    valid["bname"] = best_name(options.test.metric, valid)
    if options.svd.penalty > 0:
        with torch.no_grad():
            valid["penalty"] = float(svd_penalty(model, options.svd, exact=True))
    return valid


def projections_of(
    model: nn.Module, averages: Mapping[str, WeightAverage], first: Mapping[str, Tensor]
) -> dict[str, dict[str, float]]:
    """Where the model and its averages have gone since `first`, as golden files have it."""
    states: dict[str, Mapping[str, Tensor]] = {"main": model.state_dict()}
    states.update({name: average.state for name, average in averages.items()})
    return {name: cases.projections(dict(state), dict(first)) for name, state in states.items()}
