"""Starting from the weights of another run, and saying which of them fitted.

The weights that give the stems are taken stem by stem, by name: a model of other stems, or of the
same in another order, starts with what was learnt of those that both have.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from demucs.errors import ConfigError

logger = logging.getLogger(__name__)

SHOWN = 8  # names in a message


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What became of the weights, by name.

    Attributes:
        loaded: taken over.
        reshaped: of another shape there than here; left as they were.
        missing: not there; left as they were.
        unused: there, but not in this model.
        by_stem: taken over for some stems, or in another order of stems.
        kept, new, dropped: stems that both have, that only this model has, that only the other had;
            empty where both have the same in the same order.
    """

    loaded: list[str]
    reshaped: list[str]
    missing: list[str]
    unused: list[str]
    by_stem: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether both models are the same, stems included."""
        return not (self.reshaped or self.missing or self.unused or self.by_stem)

    def report(self) -> str:
        """One sentence for the log, with the first names of each kind."""
        total = sum(map(len, (self.loaded, self.by_stem, self.reshaped, self.missing)))
        parts = [f"loaded {len(self.loaded)} of {total} tensors"]
        for title, names in (
            ("of another shape", self.reshaped),
            ("not there", self.missing),
            ("there but not used", self.unused),
            ("by stem", self.by_stem),
        ):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                parts.append(f"{len(names)} {title} ({', '.join(names[:SHOWN])}{more})")
        if self.by_stem:
            for title, names in (
                ("stems taken over", self.kept),
                ("new stems", self.new),
                ("stems left behind", self.dropped),
            ):
                parts.append(f"{title}: {', '.join(names) or 'none'}")
        return "; ".join(parts)


def load_matching(
    model: nn.Module,
    state: Mapping[str, Tensor],
    origin: str,
    sources: Sequence[str] | None = None,
) -> Transfer:
    """Copies the tensors of `state` whose name and shape `model` has.

    Args:
        model: with `sources` and `stem_axes()`, if stems are to be told apart.
        origin: where the weights are from, for messages.
        sources: the stems they are of; those of `model`, if not given.

    Raises:
        ConfigError: none fits.
    """
    current = model.state_dict()
    stems = _StemBlocks.between(model, sources)
    by_stem = [name for name in stems.axes if name in state and stems.fits(name, current, state)]
    plain = [name for name in current if name in state and name not in by_stem]
    loaded = [name for name in plain if current[name].shape == state[name].shape]
    transfer = Transfer(
        loaded=loaded,
        reshaped=[name for name in plain if current[name].shape != state[name].shape],
        missing=[name for name in current if name not in state],
        unused=[name for name in state if name not in current],
        by_stem=by_stem,
        kept=[stem for stem in stems.here if stem in stems.there],
        new=[stem for stem in stems.here if stem not in stems.there],
        dropped=[stem for stem in stems.there if stem not in stems.here],
    )
    if not loaded:
        raise ConfigError(
            f"no weight of {origin} fits this model ({transfer.report()}): continue from an "
            "experiment with the same model"
        )
    with torch.no_grad():
        for name in loaded:
            current[name].copy_(state[name])
        for name in by_stem:
            stems.copy(name, current[name], state[name])
    logger.info("from %s: %s", origin, transfer.report())
    return transfer


@dataclass(frozen=True)
class _StemBlocks:
    """Which slices of which weights belong to which stem, here and there."""

    here: Sequence[str] = ()
    there: Sequence[str] = ()
    axes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def between(cls, model: nn.Module, sources: Sequence[str] | None) -> "_StemBlocks":
        """Nothing to tell apart where the stems are the same, or not known."""
        here = list(getattr(model, "sources", []))
        axes = getattr(model, "stem_axes", None)
        if axes is None or sources is None or list(sources) == here:
            return cls()
        return cls(here, list(sources), axes())

    def fits(self, name: str, current: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
        """Whether the slice of one stem has the same shape in both."""
        shapes = []
        for tensor, stems in ((current[name], self.here), (state[name], self.there)):
            shape = list(tensor.shape)
            if len(shape) <= self.axes[name] or shape[self.axes[name]] % len(stems):
                return False
            shape[self.axes[name]] //= len(stems)
            shapes.append(shape)
        return shapes[0] == shapes[1]

    def copy(self, name: str, target: Tensor, origin: Tensor) -> None:
        """Copies the slices of the stems that both have."""
        axis = self.axes[name]
        targets = dict(zip(self.here, target.chunk(len(self.here), axis), strict=True))
        origins = dict(zip(self.there, origin.chunk(len(self.there), axis), strict=True))
        for stem in targets.keys() & origins.keys():
            targets[stem].copy_(origins[stem])
