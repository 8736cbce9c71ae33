"""The learning rate over a run: a function of the step alone, whatever interrupted it."""

import math


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
