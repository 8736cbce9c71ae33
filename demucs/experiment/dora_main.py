"""Dora and Hydra for the command lines that train, with errors in one line."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dora.hydra import HydraMain
from dora.xp import XP
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from demucs.errors import ConfigError, DemucsError, ModelNotFoundError
from demucs.experiment.cluster import find_world
from demucs.experiment.endings import exit_on_path_errors, exit_with
from demucs.experiment.public_runs import find_public_run, other_values, overrides_of
from demucs.experiment.record import CHECKPOINT, CHECKPOINTS, LOG, is_public_run
from demucs.experiment.run import ARGV
from demucs.files import atomic_path
from demucs.process.signals import begin


class EntryPoint(HydraMain):  # type: ignore[misc]
    """Dora's main, with two more flags, and with errors in one line.

    Subclasses say what is checked before anything starts.

    Args:
        main: takes the configuration and runs in the experiment `dora.get_xp()`; the docstring of
            its module is the help.
        config: name of the file in conf/, without its suffix.
    """

    def __init__(self, main: Callable[[DictConfig], None], config: str) -> None:
        self.help = main.__globals__["__doc__"]
        self._resumed: Path | None = None  # a run that the public Demucs began
        super().__init__(main, config_name=config, config_path="../conf", version_base="1.3")

    def check(self, xp: Any) -> None:
        """Refuses an experiment that could not run, of the command line `--check`.

        Raises:
            DemucsError: why it could not.
        """
        raise NotImplementedError

    def instead(self, signature: str, more: str) -> str:
        """The remedy for overrides `more` beside `-f SIGNATURE`."""
        return f"give the overrides of {signature} and {more} instead of -f"

    def __call__(self) -> Any:
        # Again, since submitit has handlers of its own; its job is queued again by us, once all is
        # saved.
        begin(saves=True, notes="SUBMITIT_EXECUTOR" in os.environ)
        try:
            check, argv = self._read(sys.argv[1:])
            if check:
                return self._check(self._as_trained(argv))
            # What Dora finds out by itself would be wrong under srun.
            os.environ.update(find_world(os.environ).variables())
            argv = self._as_trained(argv)
        except (DemucsError, OSError) as error:
            exit_with(error)
        sys.argv[1:] = argv
        with exit_on_path_errors(
            f". Experiments are kept in {self.dora.dir}: DEMUCS_OUTPUTS chooses another folder"
        ):
            return super().__call__()

    def _check(self, argv: Sequence[str]) -> None:
        xp = self.get_xp(argv)
        self.check(xp)
        print(xp.sig)

    def _read(self, argv: Sequence[str]) -> tuple[bool, list[str]]:
        """The flag `--check`, and all overrides with those of `-f SIGNATURE`.

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
                    raise ConfigError(f"{argument} needs a signature, e.g. {argument} 53288a8c")
                left.remove(argument)
                left.remove(signature)
        if signature is None:
            return check, left
        overrides = [*self.overrides_of(signature), *left]
        folder = self._experiments / signature
        if is_public_run(folder) and all(self.dora.is_excluded(_key(word)) for word in left):
            self._resumed = folder
            return check, overrides
        new_signature = self.get_xp(overrides).sig
        if new_signature != signature:
            more = " ".join(left)
            raise ConfigError(
                f"-f {signature} with {more} is another experiment, {new_signature}: "
                + self.instead(signature, more)
                if left
                else f"the overrides of {signature} now make {new_signature}: conf/ has changed "
                "since; use the version of the project that trained it"
            )
        return check, overrides

    @property
    def _experiments(self) -> Path:
        return Path(self.dora.dir, self.dora.xps)

    def overrides_of(self, signature: str) -> list[str]:
        """The overrides of an experiment.

        Raises:
            ModelNotFoundError: there is no such experiment, or nothing tells them.
        """
        folder = self._experiments / signature
        with suppress(OSError, ValueError, YAMLError):
            overrides = overrides_of(folder)
            if overrides is not None:
                return overrides
        if (folder / CHECKPOINT).exists():
            raise ModelNotFoundError(
                f"{folder} has no {ARGV} that can be read, so that the overrides of {signature} "
                "are not known: give them as they were typed instead of -f, or start another "
                f"experiment from its weights with continue_from={signature}"
            )
        signatures = sorted(path.parent.name for path in self._experiments.glob(f"*/{ARGV}"))
        raise ModelNotFoundError(
            f"there is no experiment {signature} in {self._experiments}; there are: "
            f"{', '.join(signatures) or 'none'}"
        )

    def get_argv_from_sig(self, sig: str) -> list[str]:
        """Dora's, of `dora run -f SIG`; also where `.argv.json` is lost and Hydra's file is not."""
        try:
            return self.overrides_of(sig)
        except ModelNotFoundError as error:
            exit_with(error)

    def _as_trained(self, argv: list[str]) -> list[str]:
        """The overrides, with those that give a public run the values that it was trained with.

        Raises:
            CheckpointError: its configuration cannot be read.
        """
        xp = self.get_xp(argv)
        if not is_public_run(xp.folder):
            return argv
        self._resumed = xp.folder
        values = other_values(xp.folder, plain(xp.cfg), self.dora.is_excluded)
        if values and os.environ.get("RANK", "0") == "0":
            listed = ", ".join(f"{key}={value}" for key, value in values.items())
            print(
                f"{xp.sig} was trained with other values than conf/ has here, and keeps them: "
                f"{listed}",
                file=sys.stderr,
            )
        return [*argv, *self.value_to_argv(values)]

    def get_xp(self, argv: Sequence[str]) -> Any:
        if {"-h", "--help"} & set(argv):
            print(self.help)
            sys.exit(0)
        for argument in argv:
            if "=" not in argument:
                exit_with(ConfigError(f"{argument!r} is not KEY=VALUE, such as epochs=100"))
        try:
            return self._of_public_run(super().get_xp(argv), argv)
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).splitlines()[0]
            exit_with(
                ConfigError(
                    f"{reason} (in: {' '.join(argv)}). Keys and their meaning are in "
                    f"conf/{self.config_name}.yaml; quote values with spaces for Hydra as well"
                )
            )

    def _of_public_run(self, xp: Any, argv: Sequence[str]) -> Any:
        """`xp`, in the folder of the public Demucs' run that was typed as `argv`, if there is one.

        There a signature has more in it (`demucs.experiment.public_runs`).
        """
        folder = self._resumed
        if folder is None and not any((xp.folder / name).exists() for name in CHECKPOINTS):
            folder = find_public_run(self._experiments, argv, self.dora.is_excluded)
        if folder is None or folder.name == xp.sig:
            return xp
        return XP(dora=xp.dora, cfg=xp.cfg, argv=xp.argv, delta=xp.delta, sig=folder.name)

    def init_xp(self, xp: Any) -> Any:
        """Dora's, written atomically: several processes write and read it at once.

        What was typed for a run of the public Demucs stays, as it is known by that.

        Raises:
            OSError: the folder cannot be written; Hydra, which writes there next, does not say so.
        """
        path, text = xp.folder / ARGV, json.dumps(xp.argv)
        kept = path.exists() and is_public_run(xp.folder)
        if not kept and (not path.exists() or path.read_text(encoding="utf-8") != text):
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        (xp.folder / LOG).open("a").close()
        return xp


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def set_up_logging(*, verbose: bool, first: bool) -> None:
    """More or less in the log; only warnings from the processes after the first."""
    logging.getLogger("demucs").setLevel(logging.DEBUG if verbose else logging.INFO)
    if not first:
        logging.disable(logging.INFO)


def warn_of_missing(folders: Iterable[str]) -> None:
    """Warns of data folders that are not here: the machine that will train may have them."""
    for folder in folders:
        if not Path(folder).is_dir():
            print(f"warning: there is no folder {folder} on this machine", file=sys.stderr)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, resolved."""
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}
