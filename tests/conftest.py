"""The same start for every test, in whatever way pytest was started."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What changes messages, tables, folders, dates or how many processes take part.
FOREIGN_PREFIXES = (
    "DEMUCS_",
    "DORA_",
    "HYDRA_",
    "LC_",
    "MALLOC_",
    "SLURM_",
    "TORCHELASTIC_",
    "XDG_",
)
FOREIGN = frozenset({
    "COLUMNS", "LINES", "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR",
    "CLICOLOR_FORCE", "LANG", "LANGUAGE", "TZ", "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK",
    "WORLD_SIZE", "LOCAL_WORLD_SIZE", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONIOENCODING",
    "PYTHONPATH", "MPLBACKEND", "TQDM_DISABLE", "SOURCE_DATE_EPOCH", "THP_MEM_ALLOC_ENABLE",
})  # fmt: skip
GIVEN = {"LANG": "C.UTF-8", "TZ": "UTC", "TERM": "dumb"}
INHERITED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1,
             signal.SIGUSR2, signal.SIGCHLD)  # fmt: skip


def clean_environment() -> None:
    """Leaves of the caller's variables those that say where programs are and how many threads."""
    for name in list(os.environ):
        if name in FOREIGN or name.startswith(FOREIGN_PREFIXES):
            del os.environ[name]
    os.environ.update(GIVEN)
    time.tzset()


def heed_signals() -> None:
    """Has processes that tests start heed what `nohup` and shells have background jobs ignore.

    An ignored signal stays ignored in every process that is started; one with a handler has its
    default there. The handler does nothing, so pytest itself goes on ignoring the signal.
    """
    for number in INHERITED:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def open_streams() -> None:
    """Standard streams for processes that tests start; closed ones would be taken by files."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


clean_environment()
heed_signals()
open_streams()
os.umask(0o022)


@pytest.fixture(autouse=True, scope="session")
def _in_the_repository() -> Iterator[None]:
    """Some tests and tools name files from there."""
    before = os.getcwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)
