"""Entry point of `python -m demucs.separate`."""

from demucs.__main__ import command

if __name__ == "__main__":
    command()
