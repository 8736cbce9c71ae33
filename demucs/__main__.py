"""The `demucs` command as `python -m demucs`."""

from demucs.separate.__main__ import command

if __name__ == "__main__":
    command()
