"""Ends of the command lines that train: one line on stderr, and the exit code."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from demucs.errors import explain_os_error, message_of
from demucs.process.command import MEMORY, print_error, run_command
from demucs.process.signals import Asked, exit_code, working


def exit_with(error: Exception, remedy: str = "") -> NoReturn:
    """Prints the error in one line, and ends this process with exit code 1."""
    print(f"error: {message_of(error)}{remedy}", file=sys.stderr)
    sys.exit(1)


@contextmanager
def exit_on_path_errors(remedy: str = "") -> Iterator[None]:
    """Ends this process with one line where the block cannot use a file or folder.

    Args:
        remedy: added to the message.
    """
    try:
        yield
    except OSError as error:
        if explain_os_error(error) is None:
            raise
        exit_with(error, remedy)


@contextmanager
def ending_on_errors(memory: str = MEMORY) -> Iterator[None]:
    """Ends this process on an error or a signal of its block, with a line and an exit code.

    A context, not a call around the training, so that a traceback and a profile show training only.

    Args:
        memory: what to do when memory is used up.
    """
    working()
    try:
        yield
    except KeyboardInterrupt as asked:
        why = str(asked) or "interrupted"
        print(f"{why}; the same command continues from the last saved state", file=sys.stderr)
        sys.exit(exit_code(asked.name) if isinstance(asked, Asked) else 130)
    except Exception as error:  # not left to Hydra, which shortens the traceback
        print_error(error, memory)
        sys.exit(1)


def end(main: Callable[[], object]) -> NoReturn:
    """Calls `main`, which still loads, and ends this process with its exit code."""
    run_command(main, loads=True)
