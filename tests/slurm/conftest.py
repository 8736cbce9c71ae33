"""The cluster that all tests here share, and what runs on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.baseline import Trained, train_undisturbed
from tests.slurm.desk import Desk
from tests.slurm.local_cluster import Cluster
from tests.slurm.requirements import missing_packages
from tests.slurm.tiny_songs import TWO, write_songs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder: all need SLURM."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def packages() -> None:
    """Skips where SLURM is not installed, and says what is missing."""
    missing = missing_packages()
    if missing:
        pytest.skip(f"SLURM is not installed; missing: {', '.join(missing)}")


@pytest.fixture(scope="session")
def cluster(packages: None) -> Iterator[Cluster]:
    """Two virtual nodes of eight fake GPUs, for the whole session."""
    with Cluster() as one:
        yield one


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a few seconds."""
    return write_songs(tmp_path_factory.mktemp("data") / "songs")


@pytest.fixture
def desk(cluster: Cluster, songs: Path, tmp_path: Path) -> Desk:
    """A user with a fresh copy of the repository."""
    return Desk(cluster, tmp_path / "demucs", songs)


@pytest.fixture(scope="session")
def trained(cluster: Cluster, songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Eight processes, from beginning to end."""
    return train_undisturbed(cluster, tmp_path_factory.mktemp("eight") / "demucs", songs)


@pytest.fixture(scope="session")
def trained_by_two(
    cluster: Cluster, songs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Two processes, which start sooner, for what does not depend on how many there are."""
    return train_undisturbed(cluster, tmp_path_factory.mktemp("two") / "demucs", songs, *TWO)
