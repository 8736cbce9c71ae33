"""The block `semi` of the configuration: training on pseudo-labels too."""

from dataclasses import dataclass

from demucs.errors import ConfigError

RATINGS = ("plain", "weight", "truncate")


@dataclass(frozen=True, kw_only=True, slots=True)
class SemiConfig:
    """The block `semi`; without a folder, nothing of it holds."""

    folder: str | None
    ratio: float
    loss: str
    floor: float
    full: float
    silence: float
    silence_below: float
    silence_weight: float
    refresh: bool
    teacher: str | None
    teacher_repo: str | None

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ConfigError(problem)

    @property
    def is_on(self) -> bool:
        return self.folder is not None

    @property
    def has_teacher(self) -> bool:
        """Whether labels are made while training."""
        return self.is_on and self.refresh

    def _problems(self) -> list[str]:
        checks = {
            f"semi.ratio={self.ratio} is the share of examples from semi.folder: give it above 0 "
            "and below 1, e.g. 0.5": 0 < self.ratio < 1,
            f"semi.loss={self.loss} is not one of: {', '.join(RATINGS)}": self.loss in RATINGS,
            f"semi.floor={self.floor} dB must be below semi.full={self.full} dB": (
                self.floor < self.full
            ),
            f"semi.silence={self.silence} is a share of all examples, out of "
            f"semi.ratio={self.ratio}: give it in [0, {self.ratio}]": (
                0 <= self.silence <= self.ratio
            ),
            f"semi.silence_below={self.silence_below} is a probability: give it above 0 and at "
            "most 1, e.g. 0.1": 0 < self.silence_below <= 1,
            f"semi.silence_weight={self.silence_weight} must not be negative": (
                self.silence_weight >= 0
            ),
            f"semi.refresh=true makes labels while training, of which no quality is predicted, so "
            f"semi.loss={self.loss} cannot be: set semi.loss=plain": (
                not self.refresh or self.loss == "plain"
            ),
            f"semi.teacher={self.teacher} has a meaning only with semi.refresh=true": (
                self.teacher is None or self.refresh
            ),
        }
        return [problem for problem, good in checks.items() if not good]
