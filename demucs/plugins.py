"""Code of one's own: modules that add models, losses or dataset layouts under a name.

`$DEMUCS_PLUGINS` names them, e.g. `my_networks` or `lab.losses:lab.layouts`. Only the environment
does: neither a configuration nor a release makes anything be imported.
"""

import importlib
import os
from collections.abc import Iterable

from demucs.errors import ConfigError

VARIABLE = "DEMUCS_PLUGINS"
_loaded: set[str] = set()


def load_plugins() -> None:
    """Imports what `$DEMUCS_PLUGINS` names, each module once; colons stand between names.

    Raises:
        ConfigError: a module that cannot be imported; says why.
    """
    for name in os.environ.get(VARIABLE, "").split(":"):
        name = name.strip()
        if not name or name in _loaded:
            continue
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever is wrong in somebody's own module
            raise ConfigError(
                f"{VARIABLE} names the module {name!r}, which cannot be imported "
                f"({type(error).__name__}: {error}): put its folder on PYTHONPATH, or correct it. "
                "Separate several names with colons"
            ) from error
        _loaded.add(name)


def unknown(key: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that nobody has registered.

    Args:
        key: of the configuration, such as `model`.
        known: the names that exist.
    """
    names = ", ".join(sorted(known))
    return (
        f"{key}={name} is unknown; there are: {names}. For one of your own, set "
        f"{VARIABLE} to the module that registers it"
    )
