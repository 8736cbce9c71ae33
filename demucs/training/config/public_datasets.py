"""Datasets that the public Demucs' configuration names by folders of its authors' cluster.

Their names in `dset.wav` and `dset.wav2` are a part of the signature, so the folders that hold them
here come from the environment.
"""

from collections.abc import Mapping
from pathlib import Path

from demucs.errors import DatasetError

_CHECKPOINT = "/checkpoint/defossez/datasets"
_SHARED = "/shared/home/defossez/data/datasets"
VARIABLES = {
    f"{_CHECKPOINT}/allstems_44/": "DEMUCS_EXTRA44",
    f"{_CHECKPOINT}/allstems_test_44/": "DEMUCS_EXTRA_TEST",
    f"{_CHECKPOINT}/mmi44_goodclean": "DEMUCS_MMI_GOODCLEAN",
    f"{_CHECKPOINT}/automix_musdb": "DEMUCS_AUTO_MUS",
    f"{_CHECKPOINT}/automix_extra_test2": "DEMUCS_AUTO_EXTRA_TEST",
    f"{_CHECKPOINT}/aetl": "DEMUCS_AETL",
    f"{_SHARED}/moisesdb23_bleeding_v1.0/": "DEMUCS_SDX23_BLEEDING",
    f"{_SHARED}/moisesdb23_labelnoise_v1.0": "DEMUCS_SDX23_LABELNOISE",
}


def local_folder(name: str | None, environ: Mapping[str, str]) -> str | None:
    """The folder on this machine of a dataset that `conf/dset` names; others as they are.

    >>> local_folder("/checkpoint/defossez/datasets/aetl", {"DEMUCS_AETL": "/data/aetl"})
    '/data/aetl'
    """
    variable = VARIABLES.get(name or "")
    return (environ.get(variable) if variable else None) or name


def check_named(*folders: str) -> None:
    """Refuses datasets whose folder on this machine nobody has named.

    Args:
        folders: as `local_folder` gave them.

    Raises:
        DatasetError: says which variables to set.
    """
    variables = [VARIABLES[name] for name in folders if name in VARIABLES]
    if variables and not all(Path(name).is_dir() for name in folders if name in VARIABLES):
        given = " ".join(f"{variable}=FOLDER" for variable in variables)
        raise DatasetError(
            f"no folder is known for {', '.join(name for name in folders if name in VARIABLES)}: "
            f"export {given}, each with train/ and valid/ of songs, one folder a song"
        )
