"""What tests here share. `make torchaudio` runs them, in an environment where torchaudio loads."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what is in this folder where torchaudio cannot be imported, and says why."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                reason = f"torchaudio cannot be imported ({error}): make torchaudio"
                item.add_marker(pytest.mark.skip(reason=reason))
