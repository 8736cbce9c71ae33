"""The configuration as typed values; the keys are those of conf/quality.yaml, explained there."""

from dataclasses import dataclass

from demucs.blind.network.loss import LossConfig
from demucs.blind.network.quality_network import NetworkConfig
from demucs.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """The block `synthetic`: shares of the examples whose estimates are made, not a teacher's."""

    blend: float
    leak: float

    def __post_init__(self) -> None:
        if min(self.blend, self.leak) < 0 or self.blend + self.leak > 1:
            raise ConfigError(
                f"synthetic.blend={self.blend} and synthetic.leak={self.leak} are shares of the "
                "examples: none may be negative, nor both together above 1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MiscConfig:
    """The block `misc`: what has no influence on the result."""

    num_prints: int
    memory: float
    verbose: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """The block `optim`."""

    lr: float
    weight_decay: float
    clip_grad: float

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.weight_decay < 0 or self.clip_grad < 0:
            raise ConfigError(
                f"optim.lr={self.lr} must be above 0, optim.weight_decay={self.weight_decay} and "
                f"optim.clip_grad={self.clip_grad} not negative"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the examples are. `teachers` are patterns of names; none: all."""

    estimates: str
    songs: str
    metadata: str | None
    sources: tuple[str, ...]
    teachers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityConfig:
    """Everything that training is told."""

    estimates: str
    songs: str
    metadata: str | None
    sources: tuple[str, ...]
    teachers: tuple[str, ...]
    segment: int
    versions: int
    valid_seconds: int
    epochs: int
    batch_size: int
    max_batches: int | None
    seed: int
    coverage: float
    network: NetworkConfig
    loss: LossConfig
    synthetic: SyntheticConfig
    optim: OptimConfig
    misc: MiscConfig

    def __post_init__(self) -> None:
        for name in ("segment", "versions", "valid_seconds", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        if self.max_batches is not None and self.max_batches < 1:
            raise ConfigError(f"max_batches={self.max_batches}: give at least 1, or null for all")
        if not self.sources or len(set(self.sources)) != len(self.sources):
            raise ConfigError(f"sources={list(self.sources)}: name each stem once")
        if not 0 < self.coverage < 1:
            raise ConfigError(f"coverage={self.coverage} must be between 0 and 1, as 0.9")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must not be negative")

    @property
    def data(self) -> DataConfig:
        """The part that says where the examples are."""
        return DataConfig(
            estimates=self.estimates,
            songs=self.songs,
            metadata=self.metadata,
            sources=self.sources,
            teachers=self.teachers,
        )
