"""Optimisers, and the schedule of the learning rate."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from demucs.training.config.schema import OptimConfig


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """The parameters of a model, in groups: parts with a rate or a decay of their own are apart.

    Such a part, e.g. the transformer of HTDemucs, has `optimiser_options()`.
    """
    apart: list[Any] = [part for part in model.modules() if hasattr(part, "optimiser_options")]
    groups = [{"params": list(part.parameters()), **part.optimiser_options()} for part in apart]
    known = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [{"params": rest}, *groups]


def build_optimiser(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: OptimConfig
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, 1412.6980) or AdamW (Loshchilov and Hutter, 1711.05101).

    Fused where PyTorch can: all of a weight's update in one pass over memory.
    """
    kinds: dict[str, type[torch.optim.Adam]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[config.optim](
        parameters,
        fused=True,
        lr=config.lr,
        betas=(config.momentum, config.beta2),
        weight_decay=config.weight_decay,
    )


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Takes on a saved state; also one of before optimisers were fused, which says so itself.

    Raises:
        KeyError, ValueError, RuntimeError: it is of other parameters.
    """
    groups = [{**group, "fused": True} for group in state["param_groups"]]
    ours = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    theirs = [number for group in groups for number in group["params"]]
    for parameter, number in zip(ours, theirs, strict=False):
        moments = state["state"].get(number, {}).get("exp_avg", parameter)
        if moments.shape != parameter.shape:
            raise ValueError(
                f"a moment of the optimiser has the shape {list(moments.shape)}, and its weight "
                f"{list(parameter.shape)}"
            )
    optimiser.load_state_dict({**state, "param_groups": groups})


def gradients(parameters: Iterable[nn.Parameter]) -> list[torch.Tensor]:
    """The gradients of all parameters that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def norm_of(tensors: list[torch.Tensor]) -> torch.Tensor:
    """The Euclidean norm of all together; a scalar."""
    norms = torch._foreach_norm(tensors)
    total: torch.Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def rate_factor(step: int, steps: int, *, warmup: int, schedule: str, final: float) -> float:
    """The share of `optim.lr` at a step.

    It rises linearly over the first `warmup` steps, then stays (`constant`), or falls to `final` at
    the last step, in a line or half a cosine (Loshchilov and Hutter, 1608.03983).

    Args:
        step: from 0.
        steps: of the whole run.
        warmup: steps to rise over; 0 for none.
        schedule: `constant`, `linear` or `cosine`.
        final: share at the end; means nothing when constant.

    >>> [round(rate_factor(step, 5, warmup=2, schedule="linear", final=0), 2) for step in range(5)]
    [0.33, 0.67, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    shape = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return final + (1 - final) * shape
