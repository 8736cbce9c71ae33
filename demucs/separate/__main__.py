"""Entry point of the `demucs` program and of `python -m demucs.separate`."""


def command() -> None:
    """Separates as the command line says, and ends this process."""
    from demucs.process.signals import begin

    begin()
    from demucs.process.command import run_command
    from demucs.separate.cli import main

    run_command(main, loads=True)


if __name__ == "__main__":
    command()
