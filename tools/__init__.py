"""Command-line tools, run as `python3 -m tools.NAME`."""
