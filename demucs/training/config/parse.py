"""A dictionary of plain values made into a dataclass, with the type of each value checked."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from demucs.errors import ConfigError

T = TypeVar("T")


def read_section(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Builds the dataclass `kind` from the keys of `values` that are its fields.

    Sections inside it are read the same way; keys that no field has are left alone, since a
    configuration also speaks to others (Dora, SLURM, other models).

    Args:
        kind: the dataclass.
        values: a plain, resolved dictionary.
        path: where `values` stands, as `svd.`, for messages.

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
        (hint,) = [one for one in get_args(hint) if one is not type(None)]
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}={value!r} must be a list, as {where}=[a,b]")
        inner = get_args(hint)[0]
        return tuple(_typed(one, inner, f"{where}[{i}]") for i, one in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a signature of digits alone is read as a number
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}={value!r} must be of type {hint.__name__}")
    return value
