"""What the operating system refuses is one line with the path, the reason and a remedy.

Tests are also run as root, whom no mode of a file stops, so permissions are taken away by dropping
the capabilities of a process (`setpriv`), or the system's answer is made up.
"""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from training_support import tiny_config, write_songs

from demucs.data import find_tracks
from demucs.errors import DatasetError, DemucsError, PathError, explain_os_error, message_of
from demucs.experiment.record import experiment_folders, with_checkpoint
from demucs.files import atomic_path, path_errors
from demucs.pretrained import get_model
from demucs.release.checkpoint import NAME, newest_checkpoint, save_checkpoint
from demucs.release.download import DownloadError, download
from demucs.training import ProcessGroup, find_songs, read_config
from tools.status import main as status

ROOT = Path(__file__).resolve().parents[2]
DROP = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search", "--"]


def unprivileged(code: str, *args: str | Path) -> str:
    """What a Python program prints that file modes apply to, as root too."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, since this is root")
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(
        [*(DROP if os.geteuid() == 0 else []), *command],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


EACH = """
import sys
from pathlib import Path
from demucs.errors import PathError
from demucs.files import atomic_path, check_readable, check_tree, list_folder

def said(work, *args):
    try:
        work(*args)
    except PathError as error:
        print(error)
    except OSError as error:
        from demucs.errors import message_of
        print(message_of(error))
    else:
        print("fine")

def write(path):
    with atomic_path(path) as temporary:
        temporary.write_text("x")

root = Path(sys.argv[1])
said(list_folder, root / "closed")
said(check_readable, root / "closed")
said(check_readable, root / "closed" / "file")
said(check_tree, root)
said(check_readable, root / "secret")
said(write, root / "fixed" / "new")
said(write, root / "fixed" / "old")
said(write, root / "fixed" / "sub" / "new")
said((root / "secret").write_text, "x")
"""


def test_permissions_that_are_missing_are_named_with_the_folder(tmp_path: Path) -> None:
    for name in ("closed", "fixed"):
        (tmp_path / name).mkdir()
    for name in ("closed/file", "fixed/old", "secret"):
        (tmp_path / name).touch()
    modes = {"closed": 0, "fixed": 0o555, "secret": 0}
    for name, mode in modes.items():
        (tmp_path / name).chmod(mode)
    try:
        lines = unprivileged(EACH, tmp_path).splitlines()
    finally:
        (tmp_path / "closed").chmod(0o755)
    closed, fixed, secret = (tmp_path / name for name in modes)
    denied = "Permission denied"
    assert lines == [
        *[f"{closed} cannot be read ({denied}): allow it with chmod u+rx {closed}, or name another"]
        * 2,
        f"{closed}/file cannot be reached ({denied} in the folder {closed}): allow it with chmod "
        f"u+rx {closed}, or name another",
        f"{closed} cannot be read ({denied}): allow it with chmod u+rx {closed}, or name another",
        f"{secret} cannot be read ({denied}): allow it with chmod u+r {secret}, or name another",
        f"{fixed}/new cannot be made ({denied} in the folder {fixed}): allow it with chmod u+w "
        f"{fixed}, or name another folder",
        f"{fixed}/old cannot be replaced ({denied} in the folder {fixed}): allow it with chmod u+w "
        f"{fixed}, or name another folder",
        f"{fixed}/sub cannot be made ({denied} in the folder {fixed}): allow it with chmod u+w "
        f"{fixed}, or name another folder",
        f"{secret} cannot be read ({denied}): allow it with chmod u+r {secret}, or name another",
    ]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "does not exist (No such file or directory): check the name and the folder"),
        (errno.ENOSPC, "cannot be written (No space left on device): make room on the disk"),
        (errno.EROFS, "cannot be written (Read-only file system): name a folder on another disk"),
        (errno.ENAMETOOLONG, "cannot be used (File name too long): give a shorter name"),
        (errno.EIO, "cannot be used (Input/output error): check the disk or network folder"),
    ],
)
def test_other_reasons_have_their_remedy(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), "some/file.wav")
    assert message_of(error).startswith(f"some/file.wav {words}")


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for deep in ("file", "file/a", "file/a/b"):
        with pytest.raises(PathError) as caught, path_errors():
            (tmp_path / deep).mkdir(parents=True, exist_ok=True)
        assert f"{tmp_path}/file is not a folder" in str(caught.value)
    said = "is a folder, and a file is needed there"
    with pytest.raises(PathError, match=said), path_errors(), atomic_path(tmp_path):
        pass


def test_what_is_not_about_a_file_is_left_alone() -> None:
    assert explain_os_error(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    with pytest.raises(ConnectionResetError), path_errors():
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    assert "make room" in message_of(OSError(errno.ENOSPC, "No space left on device"))
    assert message_of(DemucsError("as it is")) == "as it is"


def test_a_cache_that_cannot_be_kept_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    songs = write_songs(tmp_path / "songs", train=2, valid=1)
    (tmp_path / "metadata").write_text("a file")
    found = find_songs(read_config(tiny_config(songs, f"dset.metadata={tmp_path / 'metadata'}")))
    assert len(found.training.tracks) == 2
    lines = [
        text
        for text in caplog.messages
        if "only a cache of measurements: this run continues" in text
    ]
    assert lines
    assert all(f"{tmp_path / 'metadata'} is not a folder" in line for line in lines)


def test_a_cache_that_cannot_be_read_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = write_songs(tmp_path / "songs", train=2, valid=1)
    run = read_config(tiny_config(songs))
    find_songs(run)

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert len(find_songs(run).training.tracks) == 2
    assert "The songs are measured again" in caplog.text


@pytest.mark.long
def test_datasets_that_are_files_or_closed_are_named(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", train=1, valid=1)
    (tmp_path / "file").touch()
    sources = ("drums", "bass", "other", "vocals")
    with pytest.raises(DatasetError, match="file is a file, and a dataset is a folder with train"):
        find_tracks(tmp_path / "file", "train", sources=sources)
    places = ("train/train0/drums.wav", "train/train0", "train", ".")
    said = unprivileged(CLOSING, songs, *places).splitlines()
    for place, line in zip(places, said, strict=True):
        assert "Permission denied" in line
        assert f"chmod u+r{'' if place.endswith('wav') else 'x'} {songs / place}" in line


CLOSING = """
import sys
from pathlib import Path
from demucs.data import find_tracks
from demucs.errors import DemucsError

root, *places = sys.argv[1:]
for place in places:
    path = Path(root) / place
    path.chmod(0)
    try:
        find_tracks(root, "train", sources=("drums", "bass", "other", "vocals"), samplerate=8000)
    except DemucsError as error:
        print(str(error).replace("\\n", " "))
    path.chmod(0o755)
"""


def test_a_checkpoint_that_may_not_be_read_is_not_replaced_by_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path / NAME, {"epoch": epoch})
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == NAME:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PathError, match=r"checkpoint\.th cannot be .*Permission denied"):
        newest_checkpoint(tmp_path)


def test_folders_of_models_that_are_of_no_use_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="file is not a folder"):
        get_model("htdemucs", tmp_path / "file")
    monkeypatch.setenv("DEMUCS_CACHE", str(tmp_path / "file"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match=r"file is not a folder.* DEMUCS_CACHE=FOLDER"):
        get_model("htdemucs")


def test_a_lock_of_somebody_else_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "from").write_text("content")
    opened = Path.open

    def refuse(path: Path, *args: object, **kwargs: object) -> object:
        if path.name == ".lock":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    download((tmp_path / "from").as_uri(), tmp_path / "cache" / "to", "", progress=False)
    assert (tmp_path / "cache" / "to").read_text() == "content"


def test_status_names_a_folder_that_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert experiment_folders(tmp_path / "none" / "xps") == []
    (tmp_path / "outputs").touch()
    assert status(["--dora_dir", str(tmp_path / "outputs")]) == 1
    assert f"error: {tmp_path}/outputs is not a folder" in capsys.readouterr().err
    assert with_checkpoint(tmp_path / "none") == []


def test_an_error_of_the_system_on_the_first_process_reaches_the_others() -> None:
    class Pair(ProcessGroup):
        """A first process that notes what it tells the other."""

        def any(self, flag: bool) -> bool:
            told.append(flag)
            return flag

    told: list[bool] = []

    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "outputs")

    with pytest.raises(PermissionError):
        Pair(rank=0, world_size=2).first_then_all(refuse)
    assert told == [True]
