"""The run that a grid varies or continues: the group's, or any that was trained."""

from collections.abc import Mapping
from typing import Any

from dora import Launcher

from demucs.errors import ConfigError, ModelNotFoundError
from demucs.grids._group_run import group_run


def base_run(launcher: Launcher, environ: Mapping[str, str]) -> Any:
    """Dora's experiment of `DEMUCS_GRID_FROM`, a signature; without it, that of the group's run.

    Args:
        launcher: of the grid.
        environ: environment variables.

    Raises:
        ConfigError: there is no such experiment.
    """
    main = launcher._main
    signature = environ.get("DEMUCS_GRID_FROM", "")
    if not signature:
        return main.get_xp(group_run())
    try:
        return main.get_xp(main.overrides_of(signature))
    except (OSError, ModelNotFoundError) as error:
        raise ConfigError(
            f"DEMUCS_GRID_FROM={signature}: no such experiment in {main.dora.dir}/xps ({error}): "
            "give a signature that `python3 -m tools.status` lists, and the folder of its outputs "
            "as DEMUCS_OUTPUTS"
        ) from None
