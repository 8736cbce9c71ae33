"""The configuration as typed values, read and checked once at the edge.

The keys are those of `conf/config.yaml`, where each is explained.
"""

from dataclasses import dataclass

from demucs.errors import ConfigError
from demucs.training.config.semi import SemiConfig
from demucs.training.losses import find_loss

OPTIMISERS = ("adam", "adamw")
SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """The block `dset`: which songs, cut how."""

    musdb: str
    musdb_samplerate: int
    use_musdb: bool
    wav: str | None
    wav2: str | None
    segment: float
    shift: float
    train_valid: bool
    full_cv: bool
    samplerate: int
    channels: int
    normalize: bool
    metadata: str | None
    sources: tuple[str, ...]
    valid_samples: int | None
    wav2_weight: float | None = None  # share of `wav2` in an epoch; None: its songs as often
    wav2_valid: bool | None = None  # validate on `wav2` too; None: yes

    def __post_init__(self) -> None:
        _check(len(self.sources) > 0, "dset.sources is empty: name the stems to separate")
        _check(
            len(set(self.sources)) == len(self.sources),
            f"dset.sources={list(self.sources)} has a stem twice: name each once",
        )
        _check(
            0 < self.shift < self.segment,
            f"dset.segment={self.segment} and dset.shift={self.shift}: examples are "
            "segment - shift seconds long, so the segment must be longer than the shift and "
            "the shift above 0",
        )
        _check(self.samplerate > 0, f"dset.samplerate={self.samplerate} must be above 0 Hz")
        _check(
            self.channels in (1, 2),
            f"dset.channels={self.channels}: give 1 for mono or 2 for stereo",
        )
        _check(
            self.valid_samples is None or self.valid_samples > 0,
            f"dset.valid_samples={self.valid_samples} leaves nothing to validate on: give at "
            "least 1, or null for all",
        )
        _check(
            not self.use_musdb or self.musdb_samplerate == self.samplerate,
            f"dset.musdb_samplerate={self.musdb_samplerate} is not "
            f"dset.samplerate={self.samplerate}, and nothing is resampled while training: "
            "convert the songs, and set both to their rate",
        )
        _check(
            self.wav2_weight is None or 0 < self.wav2_weight < 1,
            f"dset.wav2_weight={self.wav2_weight} is the share of dset.wav2 in an epoch: give a "
            "number between 0 and 1, or null",
        )
        _check(bool(self.roots), "no dataset: set dset.use_musdb=true, or dset.wav=FOLDER")

    @property
    def roots(self) -> tuple[str, ...]:
        """The dataset folders, in the order they are used."""
        named = (self.musdb if self.use_musdb else None, self.wav, self.wav2)
        return tuple(root for root in named if root)


@dataclass(frozen=True, kw_only=True, slots=True)
class TestConfig:
    """The block `test`: evaluation on the test songs, and what counts as the best."""

    save: bool
    best: bool
    workers: int
    every: int
    split: bool
    shifts: int
    overlap: float
    sdr: bool
    metric: str
    nonhq: str | None

    def __post_init__(self) -> None:
        _check(self.every >= 0, f"test.every={self.every} must not be negative; 0 is never")
        _check(self.shifts >= 0, f"test.shifts={self.shifts} must not be negative")
        _check(0 <= self.overlap < 1, f"test.overlap={self.overlap} must be in [0, 1), e.g. 0.25")
        _check(self.workers >= 0, f"test.workers={self.workers} must not be negative")
        _check(
            self.nonhq is None,
            f"test.nonhq={self.nonhq} is not available: point dset.musdb at the songs to test on",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """The block `optim`."""

    lr: float
    momentum: float
    beta2: float
    loss: str
    optim: str
    weight_decay: float
    clip_grad: float
    warmup: int
    schedule: str
    final_lr: float

    def __post_init__(self) -> None:
        _check(self.lr > 0, f"optim.lr={self.lr} must be above 0")
        for name, value in (("momentum", self.momentum), ("beta2", self.beta2)):
            _check(0 <= value < 1, f"optim.{name}={value} must be in [0, 1)")
        find_loss(self.loss)
        _check(
            self.optim in OPTIMISERS,
            f"optim.optim={self.optim} is not one of: {', '.join(OPTIMISERS)}",
        )
        _check(self.weight_decay >= 0, f"optim.weight_decay={self.weight_decay} is negative")
        _check(self.clip_grad >= 0, f"optim.clip_grad={self.clip_grad} is negative; 0 is no limit")
        _check(self.warmup >= 0, f"optim.warmup={self.warmup} steps is negative; 0 is none")
        _check(
            self.schedule in SCHEDULES,
            f"optim.schedule={self.schedule} is not one of: {', '.join(SCHEDULES)}",
        )
        _check(
            0 <= self.final_lr <= 1,
            f"optim.final_lr={self.final_lr} is a share of optim.lr: give it in [0, 1]",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EmaConfig:
    """The block `ema`: decays of the moving averages."""

    epoch: tuple[float, ...]
    batch: tuple[float, ...]

    def __post_init__(self) -> None:
        for kind, decays in (("epoch", self.epoch), ("batch", self.batch)):
            for decay in decays:
                _check(0 <= decay < 1, f"ema.{kind} has the decay {decay}: give it in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class SvdConfig:
    """The block `svd`: the penalty on singular values."""

    penalty: float
    min_size: float
    dim: int
    niters: int
    powm: bool
    proba: float
    conv_only: bool
    convtr: bool
    bs: int
    warm: bool

    def __post_init__(self) -> None:
        _check(self.penalty >= 0, f"svd.penalty={self.penalty} must not be negative")
        _check(self.min_size >= 0, f"svd.min_size={self.min_size} MB must not be negative")
        _check(self.dim >= 1, f"svd.dim={self.dim} must be at least 1")
        _check(self.niters >= 1, f"svd.niters={self.niters} must be at least 1")
        _check(0 < self.proba <= 1, f"svd.proba={self.proba} must be above 0 and at most 1")
        _check(self.bs >= 1, f"svd.bs={self.bs} must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantConfig:
    """The block `quant`: training for few bits. A key that is null or 0 is not set."""

    diffq: float | None
    qat: int | None
    min_size: float
    group_size: int

    def __post_init__(self) -> None:
        _check(
            not (self.diffq and self.qat),
            f"quant.diffq={self.diffq} and quant.qat={self.qat} are both set: keep one",
        )
        _check((self.diffq or 0) >= 0, f"quant.diffq={self.diffq} must not be negative")
        _check(
            not self.qat or 1 <= self.qat <= 15, f"quant.qat={self.qat} bits: give 1 to 15, e.g. 8"
        )
        _check(self.min_size >= 0, f"quant.min_size={self.min_size} MB must not be negative")
        _check(self.group_size >= 1, f"quant.group_size={self.group_size} must be at least 1")

    @property
    def method(self) -> str | None:
        """The key that is set, `diffq` or `qat`; None: no quantisation."""
        return "diffq" if self.diffq else "qat" if self.qat else None

    @property
    def value(self) -> float | None:
        """What it is set to."""
        return self.diffq or self.qat or None


@dataclass(frozen=True, kw_only=True, slots=True)
class MiscConfig:
    """The block `misc`: what has no influence on the result."""

    num_workers: int
    timeout: float
    num_prints: int
    board: int
    reference: str | None
    show: bool
    verbose: bool
    sdr: bool = False

    def __post_init__(self) -> None:
        _check(self.num_workers >= 0, f"misc.num_workers={self.num_workers} is negative")
        _check(self.board >= 0, f"misc.board={self.board} steps is negative; 0 is no TensorBoard")
        _check(self.timeout > 0, f"misc.timeout={self.timeout} minutes must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """All but the blocks of the model and the augmentation, see `demucs.training.run_config`."""

    dset: DataConfig
    test: TestConfig
    optim: OptimConfig
    ema: EmaConfig
    svd: SvdConfig
    quant: QuantConfig
    semi: SemiConfig
    misc: MiscConfig
    epochs: int
    batch_size: int
    max_batches: int | None
    micro_batch: int | None
    precision: str
    compile: bool
    seed: int
    debug: bool
    valid_apply: bool
    save_every: int | None
    weights: tuple[float, ...]
    continue_from: str | None
    continue_pretrained: str | None
    pretrained_repo: str | None
    continue_best: bool
    continue_opt: bool

    @property
    def measures_sdr(self) -> bool:
        """Whether validation measures SDR too."""
        return self.misc.sdr or self.test.metric.startswith("sdr")

    def __post_init__(self) -> None:
        _check(self.epochs > 0, f"epochs={self.epochs} trains nothing: give at least 1")
        _check(self.batch_size > 0, f"batch_size={self.batch_size} must be at least 1")
        _check(
            self.micro_batch is None or self.micro_batch > 0,
            f"micro_batch={self.micro_batch} must be at least 1, or null for the whole batch",
        )
        _check(
            self.precision in PRECISIONS,
            f"precision={self.precision} is not one of: {', '.join(PRECISIONS)}",
        )
        _check(
            not (self.compile and self.quant.method),
            f"compile=true does not go with quant.{self.quant.method}={self.quant.value}, which "
            "changes the weights in each step: set compile=false",
        )
        _check(self.seed >= 0, f"seed={self.seed} must not be negative")
        _check(
            self.max_batches is None or self.max_batches > 0,
            f"max_batches={self.max_batches} trains nothing: give at least 1, or null for all",
        )
        _check(
            self.save_every is None or self.save_every > 0,
            f"save_every={self.save_every} must be at least 1, or null for never",
        )
        sources = ", ".join(self.dset.sources)
        _check(
            len(self.weights) == len(self.dset.sources),
            f"weights={list(self.weights)} has {len(self.weights)} numbers for "
            f"{len(self.dset.sources)} stems: give one for each of {sources}",
        )
        _check(
            min(self.weights) >= 0 and sum(self.weights) > 0,
            f"weights={list(self.weights)} must not be negative, nor all 0",
        )
        kinds = ("nsdr", "sdr", "sdr_med")
        metrics = ["loss", *kinds]
        metrics += [f"{kind}_{source}" for kind in kinds for source in self.dset.sources]
        _check(
            self.test.metric in metrics,
            f"test.metric={self.test.metric} is not one of: {', '.join(metrics)}",
        )
        _check(
            self.continue_from is None or self.continue_pretrained is None,
            f"continue_from={self.continue_from} and "
            f"continue_pretrained={self.continue_pretrained} are both set: keep one",
        )
        starts = (self.semi.teacher, self.continue_from, self.continue_pretrained)
        _check(
            not self.semi.has_teacher or any(starts),
            "semi.refresh=true needs a first teacher: name a release with semi.teacher=NAME, "
            "or start the student from trained weights with continue_from or continue_pretrained",
        )
        _check(
            self.continue_from is not None or not self.continue_opt,
            "continue_opt=true needs continue_from=SIG: a release has no optimiser's state",
        )
