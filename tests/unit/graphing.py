"""The scripts of `graphing_scripts/`, which are no package, for tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "graphing_scripts"

if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))


def call(script, *arguments):
    """The exit code of a script's `main` with a command line."""
    before, sys.argv = sys.argv, [script.__name__, *map(str, arguments)]
    try:
        script.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0
