"""A training example or batch whose stems are not all certain, and what is known of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NOT_CERTIFIED = -1


class Batch(NamedTuple):
    """Stems `[B, S, C, T]` whose sum is the mixture; without B, one example.

    Attributes:
        stems: what is to be estimated.
        weights: `[B, S]` in [0, 1], how much each stem counts in the loss; None: all fully.
        certified: `[B]`, the stem that is known where the others are known by their sum alone
            (then all of the sum lies in one of their slots), or `NOT_CERTIFIED`; None: no such.
        unlabelled: `[B]`, whether stem 0 is an unlabelled mixture, which a teacher has yet to
            separate, and the others nothing; None: none is.
    """

    stems: Tensor
    weights: Tensor | None = None
    certified: Tensor | None = None
    unlabelled: Tensor | None = None

    @classmethod
    def of(cls, examples: "Tensor | Batch") -> "Batch":
        """Bare stems are all certain."""
        return cls(examples) if isinstance(examples, Tensor) else examples

    @classmethod
    def stack(cls, examples: Sequence["Batch"]) -> "Batch":
        """Examples of the same fields to one batch."""

        def stacked(fields: Iterable[Tensor | None]) -> Tensor | None:
            there = [field for field in fields if field is not None]
            return torch.stack(there) if there else None

        return cls(
            torch.stack([example.stems for example in examples]),
            stacked(example.weights for example in examples),
            stacked(example.certified for example in examples),
            stacked(example.unlabelled for example in examples),
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with `change` made to each field."""

        def changed(field: Tensor | None) -> Tensor | None:
            return None if field is None else change(field)

        return Batch(
            change(self.stems),
            changed(self.weights),
            changed(self.certified),
            changed(self.unlabelled),
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return self.each(lambda field: field.to(device, non_blocking=True))

    def split(self, size: int) -> list["Batch"]:
        """Batches of at most `size` examples, in order."""
        starts = range(0, len(self.stems), size)
        return [self.each(lambda f, at=start: f[at : at + size]) for start in starts]  # type: ignore[misc]
