"""How a script begins and ends: an error about a file or folder is one line, and exit code 1."""

import sys
from collections.abc import Callable

from demucs.errors import explain_os_error


def run_script(main: Callable[[], None]) -> None:
    """Calls a script's `main`, and ends where it meets a file or folder that is of no use."""
    try:
        main()
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        sys.exit(f"error: {explained}")
