"""Training from the command line: `dora run KEY=VALUE ...`, `python -m demucs.train KEY=VALUE ...`

Every key is in `conf/config.yaml`, with its meaning and default. As examples:

    python3 -m demucs.train model=hdemucs epochs=100 batch_size=16 dset.musdb=FOLDER
    python3 -m demucs.train dset=demo variant=demo          (small, on songs of tools.demo_songs)
    python3 -m demucs.train model=hdemucs misc.show=true    (print the model and leave)

The same command goes on where it was stopped. Hydra and Dora end here: below are plain values.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

# Read when torch is loaded, by the imports below: a thread that waits for work spins only briefly
# before it sleeps. By default it spins for milliseconds, and on cores that are shared with audio
# readers or other jobs it then keeps them from the work it waits for.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from dora import distrib, get_xp
from dora.hydra import HydraMain
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from demucs.errors import ConfigError, DemucsError

logger = logging.getLogger(__name__)


class _Door(HydraMain):  # type: ignore[misc]
    """Dora's main, which tells a wrong override in one line."""

    def get_xp(self, argv: Sequence[str]) -> Any:
        if {"-h", "--help"} & set(argv):
            print(__doc__)
            sys.exit(0)
        for argument in argv:
            if "=" not in argument:
                _leave(ConfigError(f"{argument!r} is not KEY=VALUE, as epochs=100"))
        try:
            return super().get_xp(argv)
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).splitlines()[0]
            _leave(
                ConfigError(
                    f"{reason} (in: {' '.join(argv)}). Keys and their meaning are in "
                    "conf/config.yaml; quote values with spaces for Hydra as well"
                )
            )


def run_training(plain: dict[str, Any], xp: Any) -> None:
    """Trains the experiment `xp` as `plain`, its resolved configuration, says.

    Raises:
        DemucsError: anything the user can act on, as far as possible before training starts.
    """
    import torch

    from demucs.nn.allocator import tune_allocator
    from demucs.training import Solver, Workers, find_songs, read_config
    from demucs.training.distributed import available_cores

    run = read_config(plain)
    spec = distrib.get_distrib_spec()
    workers = Workers(rank=spec.rank, local_rank=spec.local_rank, world_size=spec.world_size)
    set_up_logging(verbose=run.options.misc.verbose, first=workers.is_first)
    cores = max(1, available_cores() // max(1, spec.world_size // spec.num_nodes))
    readers = run.options.misc.num_workers
    if workers.device.type == "cpu":
        tune_allocator()
        torch.set_num_threads(min(cores, torch.get_num_threads()))
        readers = min(readers, cores - 1)
    if run.options.misc.show:
        _show(run)
        return
    if workers.world_size > 1:
        distrib.set_distrib_env()
    with workers.connected():
        songs = workers.first_then_all(lambda: find_songs(run))
        solver = Solver(
            run,
            songs,
            folder=Path(xp.folder),
            signature=xp.sig,
            workers=workers,
            num_workers=readers,
            on_history=xp.link.update_history,
        )
        logger.info(
            "experiment %s in %s: %s on %s, %d process(es), %d thread(s), %d reader(s)",
            xp.sig, xp.folder, run.spec.name, workers.device, workers.world_size,
            torch.get_num_threads(), readers,
        )  # fmt: skip
        solver.train()
    if workers.is_first:
        print(f"Trained {solver.state.epoch} epochs: {Path(xp.folder) / 'checkpoint.th'}")
        print(f"Next: python3 -m tools.export {xp.sig}")


def set_up_logging(*, verbose: bool, first: bool) -> None:
    """More or less in the log; only warnings from the processes after the first."""
    logging.getLogger("demucs").setLevel(logging.DEBUG if verbose else logging.INFO)
    if not first:
        logging.disable(logging.INFO)


def _show(run: Any) -> None:
    from demucs.nn import build_model

    model = build_model(run.spec)
    size = sum(parameter.numel() for parameter in model.parameters())
    print(model)
    print(f"{size / 1e6:.1f} million parameters, {size * 4 / 2**20:.0f} MB")


def _leave(error: DemucsError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def _door(function: Callable[[DictConfig], None]) -> _Door:
    return _Door(function, config_name="config", config_path="../conf", version_base="1.3")


@_door
def main(cfg: DictConfig) -> None:
    """What Dora and Hydra call with the configuration."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    try:
        run_training({str(key): value for key, value in plain.items()}, get_xp())
    except DemucsError as error:
        _leave(error)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on after the last whole epoch", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
