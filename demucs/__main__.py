"""`python -m demucs`: the `demucs` command."""

from demucs.separate import main

if __name__ == "__main__":
    main()
