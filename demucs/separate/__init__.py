"""The `demucs` command: separates the stems of audio files."""

from collections.abc import Sequence


def main(opts: Sequence[str] | None = None) -> None:
    """Runs the command with the arguments `opts` (None: those of the process).

    See `demucs.separate.cli.main`, which is imported only now: signals are answered before that.
    """
    from demucs.separate.cli import main as run

    run(opts)
