"""The configuration of a run, read into typed options, a model and an augmentation."""

import dataclasses
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from demucs.data import AugmentConfig
from demucs.errors import ConfigError
from demucs.nn import BUILT_IN, ModelSpec, find_model
from demucs.nn.build import GIVEN
from demucs.training.config.public_datasets import local_folder
from demucs.training.config.schema import DataConfig, TrainConfig
from demucs.training.optim.quantise import check_quantisation

SEGMENTS_APPLIED = 4  # separation works on chunks of so many training segments


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A run: its options, model and augmentation, and the plain values they were read from."""

    options: TrainConfig
    spec: ModelSpec
    augment: AugmentConfig
    plain: dict[str, Any]


def read_config(plain: Mapping[str, Any]) -> RunConfig:
    """Reads a resolved configuration of the shape of `conf/config.yaml`.

    Raises:
        ConfigError: a value that cannot work, or that this version cannot honour.
    """
    options = read_section(
        TrainConfig, {**plain, "weights": _weights(plain), "dset": _dset(plain["dset"])}
    )
    spec = model_spec(plain, options.dset)
    check_quantisation(options.quant, spec)
    return RunConfig(
        options=options,
        spec=spec,
        augment=augment_config(plain),
        plain=dict(plain),
    )


def _dset(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block `dset` with folders of this machine, and the two keys that few datasets have."""
    folders = {name: local_folder(block[name], os.environ) for name in ("wav", "wav2")}
    return {"wav2_weight": None, "wav2_valid": None, **block, **folders}


def _weights(plain: Mapping[str, Any]) -> Any:
    """`weights` as a list of numbers; of `STEM:NUMBER` entries, stems not named count 1.

    Raises:
        ConfigError: an entry that is neither, or a name that is not a stem.
    """
    weights, sources = plain["weights"], list(plain["dset"]["sources"])
    if not isinstance(weights, list) or not any(isinstance(entry, str) for entry in weights):
        return weights
    named = {}
    for entry in weights:
        stem, _, number = str(entry).rpartition(":")
        try:
            named[stem.strip()] = float(number)
        except ValueError:
            stem = ""
        if not stem:
            raise ConfigError(
                f"weights has the entry {entry!r}: give a number for each stem, or STEM:NUMBER "
                "entries, e.g. weights=[vocals:2]"
            )
    unknown = sorted(set(named) - set(sources))
    if unknown:
        raise ConfigError(
            f"weights names {', '.join(unknown)}, but the stems (dset.sources) are "
            f"{', '.join(sources)}"
        )
    return [named.get(source, 1.0) for source in sources]


def model_spec(plain: Mapping[str, Any], dset: DataConfig) -> ModelSpec:
    """The model that `model` names, with the arguments of the block of that name.

    A model of one's own has no block: its arguments are `model_args`.

    Raises:
        ConfigError: a model that does not exist, or arguments in the wrong place.
    """
    name = plain.get("model")
    find_model(name)
    segment = plain.get("model_segment")
    if segment is not None and (not isinstance(segment, int | float) or segment <= 0):
        raise ConfigError(f"model_segment={segment!r} must be a number of seconds above 0")
    kwargs = {
        **_arguments(plain, str(name)),
        "sources": list(dset.sources),
        "audio_channels": dset.channels,
        "samplerate": dset.samplerate,
    }
    as_trained = name == "htdemucs" and bool(plain.get("use_train_segment", True))
    if name == "htdemucs":
        kwargs["use_train_segment"] = as_trained
    kwargs["segment"] = float(segment or dset.segment * (1 if as_trained else SEGMENTS_APPLIED))
    return ModelSpec(name=str(name), kwargs=kwargs)


def _arguments(plain: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    arguments = plain.get("model_args")
    if name not in BUILT_IN:
        if arguments is not None and not isinstance(arguments, Mapping):
            raise ConfigError(
                f"model_args={arguments!r} must be keys and values, e.g. {{channels: 8}}"
            )
        given = sorted(set(arguments or {}) & set(GIVEN))
        if given:
            raise ConfigError(
                f"model_args has {', '.join(given)}, which every model is given: set "
                "dset.sources, dset.channels, dset.samplerate or model_segment instead"
            )
        return arguments or {}
    if arguments:
        raise ConfigError(
            f"model_args={arguments} is for models of one's own: set {name}.KEY=VALUE instead"
        )
    block: Mapping[str, Any] = plain[name]
    return block


@dataclass(frozen=True, kw_only=True, slots=True)
class _Repitch:
    proba: float
    max_tempo: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Remix:
    proba: float
    group_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    proba: float
    min: float
    max: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Augment:
    shift_same: bool
    flip: bool
    repitch: _Repitch
    remix: _Remix
    scale: _Scale


def augment_config(plain: Mapping[str, Any]) -> AugmentConfig:
    """The block `augment`.

    Raises:
        ConfigError: a value out of its range.
    """
    block = read_section(_Augment, plain["augment"], "augment.")
    return AugmentConfig(
        shift_same=block.shift_same,
        flip=block.flip,
        remix_proba=block.remix.proba,
        remix_group=block.remix.group_size,
        scale_proba=block.scale.proba,
        scale_min=block.scale.min,
        scale_max=block.scale.max,
        repitch_proba=block.repitch.proba,
        repitch_max_tempo=block.repitch.max_tempo,
    )


T = TypeVar("T")


def read_section(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Builds the dataclass `kind` from the keys of `values` that are its fields.

    Sections inside it are read the same way; keys that no field has are left alone, since a
    configuration also speaks to others (Dora, SLURM, other models).

    Args:
        kind: the dataclass.
        values: a plain, resolved dictionary.
        path: where `values` stands, e.g. `svd.`, for messages.

    Raises:
        ConfigError: a key that is missing, or a value of another type; says which.
    """
    hints = get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        where = path + field.name
        if field.name not in values:
            raise ConfigError(f"the configuration has no key {where}: it belongs in conf/")
        value, hint = values[field.name], hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}={value!r} is one value: set one of its keys, {where}.*")
            arguments[field.name] = read_section(hint, value, where + ".")
        else:
            arguments[field.name] = _typed(value, hint, where)
    return kind(**arguments)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """`value` as `hint` wants it: an int may stand for a float, a list for a tuple."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = [kind for kind in get_args(hint) if kind is not type(None)]
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}={value!r} must be a list, e.g. {where}=[a,b]")
        inner = get_args(hint)[0]
        return tuple(_typed(item, inner, f"{where}[{i}]") for i, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a signature of digits alone is read as a number
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}={value!r} must be of type {hint.__name__}")
    return value
