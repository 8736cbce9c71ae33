"""The golden runs of the public solver (make_public_runs.py), unpacked where a test wants them."""

import lzma
import shutil
from pathlib import Path

FOLDER = Path(__file__).parent / "public_runs"


def unpack(name: str, outputs: Path) -> Path:
    """Writes the run into `outputs/xps/SIGNATURE`, as the public solver left it; that folder."""
    (source,) = (FOLDER / name / "xps").iterdir()
    folder = outputs / "xps" / source.name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.xz"))
    (folder / "checkpoint.th").write_bytes(
        lzma.decompress((source / "checkpoint.th.xz").read_bytes())
    )
    return folder
