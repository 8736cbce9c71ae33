"""Parser and errors of a command that is typed as `python3 -m PACKAGE.NAME`."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from demucs.errors import DemucsError, message_of

Main = TypeVar("Main", bound=Callable[..., int])

CONTINUES = "the same command continues from here"


def make_parser(name: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """A parser whose help shows `description` as it is written.

    Args:
        name: of the module, e.g. `tools.export`.
        description: usually the module's docstring.
        options: of `argparse.ArgumentParser`.
    """
    return argparse.ArgumentParser(
        prog=f"python3 -m {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )


def reports_errors(interrupted: str | None = None, code: int = 1) -> Callable[[Main], Main]:
    """Decorates a `main`: an error that the user can act on is one line, and an exit code.

    A pipe whose reader has seen enough, e.g. `| head`, is not an error.

    Args:
        interrupted: what the user is told after Ctrl-C, e.g. that nothing was written; None
            leaves that to `demucs.process.command.run_command`.
        code: the exit code after an error.
    """

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def reporting(argv: Sequence[str] | None = None) -> int:
            try:
                return main(argv)
            except BrokenPipeError:  # `| head` has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            except (DemucsError, OSError) as error:
                print(f"error: {message_of(error)}", file=sys.stderr)
                return code
            except KeyboardInterrupt as asked:
                if interrupted is None:
                    raise
                print(f"{str(asked) or 'interrupted'}; {interrupted}", file=sys.stderr)
                return 130

        return cast(Main, reporting)

    return decorate
