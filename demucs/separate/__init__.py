"""The `demucs` command: separates the stems of audio files.

`main` is imported at its first use, so that `python -m demucs.separate` handles signals before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demucs.separate.cli import main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    if name == "main":
        from demucs.separate.cli import main

        return main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
