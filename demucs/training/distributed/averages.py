"""Means of what a stage measures, over its batches and over processes."""

from collections.abc import Mapping, Sequence

from demucs.training.distributed.process_group import ProcessGroup


class Averages:
    """Weighted means by name, kept as sums so that they can be saved and added up."""

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        self.sums: dict[str, float] = dict(sums or {})

    @classmethod
    def resumed(cls, saved: Sequence[Mapping[str, float]], group: ProcessGroup) -> "Averages":
        """This process' part of the sums that all had saved; their total if they are others now."""
        if len(saved) == group.world_size:
            return cls(saved[group.rank])
        total = cls()
        for sums in saved if group.is_first else ():
            for name, value in sums.items():
                total.sums[name] = total.sums.get(name, 0.0) + value
        return total

    def update(self, values: Mapping[str, float], weight: float = 1.0) -> None:
        """Takes one more measurement of each name in."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + weight * value
            count = _count(name)
            self.sums[count] = self.sums.get(count, 0.0) + weight

    def means(self, group: ProcessGroup | None = None) -> dict[str, float]:
        """The mean of each name, over all processes of `group`, if given."""
        sums = self.sums if group is None else group.sums(self.sums)
        return {
            name: total / sums[_count(name)] for name, total in sums.items() if _count(name) in sums
        }


def _count(name: str) -> str:
    return f"#{name}"
