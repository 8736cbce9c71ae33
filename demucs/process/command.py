"""The end of a command line: one message, an exit code, and none of its processes left.

    from demucs.process.command import run_command
    from demucs.process.signals import begin

    if __name__ == "__main__":
        begin()  # before the imports below
    ...
    if __name__ == "__main__":
        run_command(main)

An error of the user's is one line with its remedy, and so are a full disk or memory. Any other
exception keeps its traceback. In each case what is left of the process ends within `CLEAN_UP`
seconds: threads that still work are not waited for, and child processes are ended.
"""

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from demucs.errors import DemucsError, explain_os_error, is_out_of_memory
from demucs.process.signals import Asked, asked_by, exit_code, leaving, working

MEMORY = "work on less at a time, or give it more memory"


def run_command(
    main: Callable[[], object], *, loads: bool = False, memory: str = MEMORY
) -> NoReturn:
    """Calls `main`, and ends this process with the exit code that it returns or exits with.

    Args:
        main: the command.
        loads: `main` still loads, and calls `demucs.process.signals.working` itself.
        memory: what to do when memory is used up.
    """
    try:
        code = _outcome(main, loads, memory)
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()  # as long as that takes: a pager may be reading
    except KeyboardInterrupt as asked:
        print(str(asked) or "interrupted", file=sys.stderr)
        code = 130
    name = asked_by()
    if name is not None and code not in (0, exit_code(name)):
        if code != 130:  # what was raised was taken for another error, e.g. within an import
            print(Asked(name), file=sys.stderr)
        code = exit_code(name)
    end_process(code, waits=name is None and code in (0, 2))


def _outcome(main: Callable[[], object], loads: bool, memory: str) -> int:
    """The exit code of `main`; what it raises is printed."""
    try:
        if not loads:
            working()
        code = main()
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        leaving(1, bounded=True)
        print_error(error, memory)
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


def print_error(error: Exception, memory: str = MEMORY) -> None:
    """Prints the error on standard error: one line if there is a remedy, else the traceback too."""
    line = explained(error, memory)
    if line is None:
        traceback.print_exception(error)
        line = f"{type(error).__name__}: {error}".splitlines()[0]
    with suppress(OSError, ValueError):
        print(f"error: {line}", file=sys.stderr)


def explained(error: BaseException, memory: str = MEMORY) -> str | None:
    """The error and its remedy in one line; None where only a traceback helps.

    Args:
        error: what was raised.
        memory: what to do when memory is used up.
    """
    text = " ".join(str(error).split())
    if isinstance(error, DemucsError):
        return str(error)
    if is_out_of_memory(error):
        return f"out of memory{f' ({text})' if text else ''}: {memory}"
    explained = explain_os_error(error) if isinstance(error, OSError) else None
    return None if explained is None else str(explained)


def end_process(code: int, *, waits: bool) -> NoReturn:
    """Ends this process as Python does: exit functions are called, and output is flushed.

    But for the end of the interpreter itself, in which signals have no handlers any more, and
    threads of torch.distributed have been seen to abort a run that had ended well.

    Args:
        code: the exit code.
        waits: for threads and child processes; else these are killed, and `CLEAN_UP` seconds are
            the most that the rest may take.
    """
    leaving(code, bounded=not waits)
    with suppress(Exception):
        if waits:
            threading._shutdown()  # type: ignore[attr-defined]
        else:
            end_children()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120  # as Python's own
    os._exit(code)


def end_children() -> None:
    """Kills the processes that were started with `multiprocessing`, whatever they ignore."""
    if "multiprocessing" not in sys.modules:
        return
    if hasattr(signal, "SIGCHLD"):  # torch has it raise for a reader that ends
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in sys.modules["multiprocessing"].active_children():
        child.kill()
