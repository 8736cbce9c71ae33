"""Examples that are needed again, kept in memory up to a limit."""

from collections.abc import Callable, Hashable

from demucs.blind.network.features import Features
from demucs.blind.network.truth import Targets

Example = tuple[Features, Targets]


class Memory:
    """Remembers examples by key, with levels in half precision; past the limit, nothing new.

    What it gives is the same whether it was remembered or not.

    Args:
        megabytes: the limit.
    """

    def __init__(self, megabytes: float) -> None:
        self._left = megabytes * 2**20
        self._kept: dict[Hashable, Example] = {}

    def __call__(self, key: Hashable, make: Callable[[], Example]) -> Example:
        """The example of a key, made if need be."""
        features, target = self._kept.get(key) or self._made(key, make)
        return Features(planes=features.planes.float(), energy=features.energy), target

    def _made(self, key: Hashable, make: Callable[[], Example]) -> Example:
        features, target = make()
        small = Features(planes=features.planes.half(), energy=features.energy)
        size = small.planes.numel() * 2
        if size <= self._left:
            self._left -= size
            self._kept[key] = (small, target)
        return small, target
