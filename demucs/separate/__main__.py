"""The `demucs` command: `python -m demucs.separate`, and what the installed program calls."""


def command() -> None:
    """Separates as the command line says, and ends this process."""
    from demucs.process.signals import begin

    begin()
    from demucs.process.command import run_command
    from demucs.separate.cli import main

    run_command(main, loads=True)


if __name__ == "__main__":
    command()
