"""Training for few bits: DiffQ's noise, or quantisation-aware training (QAT).

Both are the package `diffq`'s (Défossez, Adi and Synnaeve, "Differentiable Model Compression via
Pseudo Quantization Noise", arXiv:2104.09987). It is optional, and its licence, CC BY-NC 4.0, does
not allow commercial use: nothing else here needs it, nor does a model that was trained with it.

What is trained are 32-bit weights. What is judged, kept as the best and released is an ordinary
model whose weights have only the values that their bits allow.
"""

import copy
import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from demucs.errors import ConfigError
from demucs.nn import ModelSpec, build_model
from demucs.training.config.schema import QuantConfig
from demucs.training.optim.ema import swapped_state

logger = logging.getLogger(__name__)

_FLOATS_PER_MB = 2**20 // 4


def check_quantisation(config: QuantConfig, spec: ModelSpec) -> None:
    """Refuses a quantisation that cannot be: without the package, or of a model it does not fit.

    Raises:
        ConfigError: says which, and the remedy.
    """
    if config.method is None:
        return
    _library(config)
    with torch.device("meta"):  # neither memory nor time for the weights
        _check_fit(config, build_model(spec))


def _library(config: QuantConfig) -> Any:
    try:
        return importlib.import_module("diffq")
    except ImportError as error:
        raise ConfigError(
            f"quant.{config.method}={config.value} needs the package diffq ({error}): "
            "`pip install diffq`, or this project with its extra, `pip install -e '.[quant]'`. "
            "Its licence is CC BY-NC 4.0: no commercial use"
        ) from error


def quantised_weights(model: nn.Module, min_size: float) -> list[str]:
    """Names of the weights that are quantised: matrices of more than `min_size` MB."""
    return [
        name
        for name, weight in model.named_parameters()
        if weight.dim() >= 2 and weight.numel() > int(min_size * _FLOATS_PER_MB)
    ]


def _check_fit(config: QuantConfig, model: nn.Module) -> None:
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    names = quantised_weights(model, config.min_size)
    if not names:
        raise ConfigError(
            f"quant.min_size={config.min_size} MB: no weight of this model is as large, so that "
            f"nothing would be quantised; the largest has {max(sizes.values()) / 2**18:.3f} MB"
        )
    for name in names if config.method == "diffq" else ():
        if sizes[name] % config.group_size:
            raise ConfigError(
                f"quant.group_size={config.group_size} does not divide the {sizes[name]} numbers "
                f"of the weight {name}: choose one that does, or leave the weight out with "
                f"quant.min_size={sizes[name] / _FLOATS_PER_MB:.4f} or more"
            )


class Quantiser:
    """The quantisation of a model in training.

    From its construction on, each forward pass of `model` in training mode has noise on its weights
    (DiffQ; drawn from torch's generator) or rounds them (QAT). DiffQ also gives the model
    parameters, the bits of each group of numbers (at first 8), which then belong to its state as
    weights do: to checkpoints, and to moving averages, which average bits as well.

    Build it when the optimiser is there, and neither a checkpoint is loaded nor the model wrapped
    for several processes. All processes have the same noise, since a step seeds all alike.

    Args:
        model: has its final shape, and is on its device.
        optimiser: of its weights; it gets the bits as a group with a learning rate of their own,
            1e-3 as in the public Demucs, and no weight decay.
        config: a method is set.

    Raises:
        ConfigError: as `check_quantisation`.
    """

    def __init__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, config: QuantConfig
    ) -> None:
        library = _library(config)
        _check_fit(config, model)
        self.model, self.config = model, config
        self._plain = copy.deepcopy(model).requires_grad_(False)
        names = quantised_weights(model, config.min_size)
        total = sum(weight.numel() for weight in model.parameters())
        common = {
            "min_size": config.min_size,
            "exclude": [name for name, weight in model.named_parameters() if weight.dim() < 2],
        }
        if config.method == "diffq":
            self._quantiser = library.DiffQuantizer(model, group_size=config.group_size, **common)
            self._quantiser.setup_optimizer(optimiser)
        else:
            self._quantiser = library.UniformQuantizer(model, bits=config.qat, qat=True, **common)
        logger.info(
            "quant.%s=%s: %d weights are quantised; %.2f MB, of %.2f MB in 32 bits",
            config.method, config.value, len(names), self.true_size(), total / _FLOATS_PER_MB,
        )  # fmt: skip

    @property
    def weight(self) -> float:
        """Of the size in the loss, per MB."""
        return self.config.diffq or 0.0

    def size(self) -> Tensor:
        """MB of the model with its present, fractional bits; with DiffQ it has a gradient."""
        size: Tensor = self._quantiser.model_size()
        return size

    def true_size(self, state: Mapping[str, Tensor] | None = None) -> float:
        """MB of the model, or of a state of it, with whole bits and without compression."""
        with torch.no_grad(), self._holding(state):
            return float(self._quantiser.true_model_size())

    def quantised(self, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The weights of the model, or of a state of it, with the values that their bits allow.

        They are the state of an ordinary model, which knows of no bits.
        """
        names = self._plain.state_dict().keys()
        with torch.no_grad(), self._holding(state), self._quantiser.enter_quantize():
            state_dict = self.model.state_dict()
            return {name: state_dict[name].detach().clone() for name in names}

    def plain(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """An ordinary model with these weights; the same object in each call."""
        self._plain.load_state_dict(weights)
        return self._plain

    @contextmanager
    def _holding(self, state: Mapping[str, Tensor] | None) -> Iterator[None]:
        with nullcontext() if state is None else swapped_state(self.model, state):
            yield


@contextmanager
def judged(
    model: nn.Module,
    state: Mapping[str, Tensor] | None = None,
    quantiser: Quantiser | None = None,
    *,
    final: bool = False,
) -> Iterator[nn.Module]:
    """What is validated or tested for `model`: itself, or with another state inside the block.

    Args:
        model: the network in training.
        state: None for its own.
        quantiser: of the model, if it has one: an ordinary model of quantised weights is given.
        final: `state` is quantised already, as the best state is.
    """
    if quantiser is not None:
        weights = state if final and state is not None else quantiser.quantised(state)
        yield quantiser.plain(weights)
    else:
        with nullcontext() if state is None else swapped_state(model, state):
            yield model
