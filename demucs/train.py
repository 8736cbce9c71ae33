"""Training from the command line: `dora run KEY=VALUE ...`, `python -m demucs.train KEY=VALUE ...`

Every key is in `conf/config.yaml`, with its meaning and default. As examples:

    python3 -m demucs.train model=hdemucs epochs=100 batch_size=16 dset.musdb=FOLDER
    python3 -m demucs.train dset=demo variant=demo          (small, on songs of tools.demo_songs)
    python3 -m demucs.train model=hdemucs misc.show=true    (print the model and leave)
    python3 -m demucs.train -f SIGNATURE                    (go on with an experiment)
    python3 -m demucs.train --check model=hdemucs           (print the signature if all is well)
    srun python3 -m demucs.train model=hdemucs              (in a SLURM job: all its tasks together)

The same command goes on where it was stopped. On SIGTERM, SIGUSR1 and SIGUSR2 a run saves, and ends
with exit code 85. Hydra and Dora end here: below are plain values.
"""

from demucs.stopping import EXIT_STOPPED, Interrupted, listen, stop_signal

if __name__ == "__main__":
    listen()  # before the seconds that the imports below take

import json
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

from dora import get_xp
from dora.hydra import HydraMain
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from demucs.cluster import asked_world_size, find_world
from demucs.errors import ConfigError, DemucsError, ModelNotFoundError
from demucs.experiments import CHECKPOINT
from demucs.files import atomic_path
from demucs.neighbours import ARGV, tell_nearest

logger = logging.getLogger(__name__)


class _Door(HydraMain):  # type: ignore[misc]
    """Dora's main, with two more flags, and with errors in one line."""

    def __call__(self) -> Any:
        listen()  # again, since submitit has handlers of its own
        try:
            check, argv = self._read(sys.argv[1:])
            if check:
                return self._check(argv)
            # What Dora finds out by itself would be wrong under srun.
            os.environ.update(find_world(os.environ).variables())
        except DemucsError as error:
            _leave(error)
        sys.argv[1:] = argv
        return super().__call__()

    def _check(self, argv: Sequence[str]) -> None:
        from demucs.training import check_config, check_start

        xp = self.get_xp(argv)
        run = check_config(_plain(xp.cfg), asked_world_size(os.environ))
        check_start(run, Path(xp.folder))
        for root in run.options.dset.roots:
            if not Path(root).is_dir():  # it may be there on the machine that will train
                print(f"warning: there is no folder {root} on this machine", file=sys.stderr)
        print(xp.sig)

    def _read(self, argv: Sequence[str]) -> tuple[bool, list[str]]:
        """Whether to check only, and all overrides, those of `-f SIGNATURE` among them.

        Raises:
            ConfigError: `-f` without a signature, or with overrides that make another experiment.
            ModelNotFoundError: there is no such experiment.
        """
        left, check, signature = list(argv), False, None
        for place, argument in enumerate(argv):
            if argument == "--check":
                check = True
                left.remove(argument)
            elif argument in ("-f", "--from_sig"):
                signature = argv[place + 1] if place + 1 < len(argv) else "-"
                if signature.startswith("-") or "=" in signature:
                    raise ConfigError(f"{argument} needs a signature, as {argument} 53288a8c")
                left.remove(argument)
                left.remove(signature)
        if signature is None:
            return check, left
        overrides = [*self._overrides_of(signature), *left]
        found = self.get_xp(overrides).sig
        if found != signature:
            more = " ".join(left)
            raise ConfigError(
                f"-f {signature} with {more} is another experiment, {found}: to start it from the "
                f"weights of this one, add continue_from={signature} {more} to its overrides "
                "instead of -f"
                if left
                else f"the overrides of {signature} now make {found}: conf/ has changed since; "
                "use the version of the project that trained it"
            )
        return check, overrides

    def _overrides_of(self, signature: str) -> list[str]:
        experiments = self.dora.dir / self.dora.xps
        try:
            path = experiments / signature / ARGV
            return [str(one) for one in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, ValueError):
            there = sorted(path.parent.name for path in experiments.glob(f"*/{ARGV}"))
            raise ModelNotFoundError(
                f"there is no experiment {signature} in {experiments}; there are: "
                f"{', '.join(there) or 'none'}"
            ) from None

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

    def init_xp(self, xp: Any) -> Any:
        """As Dora's, but whole at any time: several processes write and read it at once."""
        path, text = xp.folder / ARGV, json.dumps(xp.argv)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return xp


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


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _train(plain: dict[str, Any], xp: Any) -> None:
    from demucs.training import Experiment, read_config, run_training

    run = read_config(plain)
    first = os.environ["RANK"] == "0"
    set_up_logging(verbose=run.options.misc.verbose, first=first)
    if run.options.misc.show:
        _show(run)
        return
    experiment = Experiment(
        signature=xp.sig,
        name=main.get_name(xp),
        folder=Path(xp.folder),
        on_history=xp.link.update_history,
    )
    starts_from = run.options.continue_from or run.options.continue_pretrained
    if first and not starts_from:
        told = tell_nearest(experiment.folder.parent, xp.sig, xp.argv)
        if told is not None:
            logger.warning(told)
    try:
        run_training(run, experiment, os.environ, lambda: stop_signal() is not None)
    except Interrupted as stop:
        if first:
            print(stop, file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    if first:
        print(f"Trained {run.options.epochs} epochs: {experiment.folder / CHECKPOINT}")
        print(f"Next: python3 -m tools.export {xp.sig}")


def _door(function: Callable[[DictConfig], None]) -> _Door:
    return _Door(function, config_name="config", config_path="../conf", version_base="1.3")


@_door
def main(cfg: DictConfig) -> None:
    """What Dora and Hydra call with the configuration."""
    try:
        _train(_plain(cfg), get_xp())
    except DemucsError as error:
        _leave(error)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved state", file=sys.stderr)
        sys.exit(130)


def _end(run: Callable[[], object]) -> None:
    """Calls `run` and ends this process with its exit code.

    With several processes, at once: threads of torch.distributed that are still there when Python
    tears itself down have been seen to abort a run that had ended well.
    """
    code: object = 0
    try:
        run()
    except SystemExit as stop:
        code = stop.code
    if os.environ.get("WORLD_SIZE", "1") == "1" or not isinstance(code, int | None):
        sys.exit(code)  # type: ignore[arg-type]
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _end(main)
