"""`slurm_separate.sh`: one file or many, shared among the tasks of a job array."""

from pathlib import Path

import pytest
from slurm_desk import SCRIPTS, Desk, Done

from demucs.files import SONG_SUFFIXES
from tools.model_place import place


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def separated(done: Done) -> list[str]:
    """The files of the only separation."""
    (call,) = [call for call in done.of("python3") if "demucs.separate" in call.arguments]
    return call.arguments[call.arguments.index("--") + 1 :]


def test_a_file_is_meant_as_seen_from_where_it_is_typed(desk: Desk) -> None:
    (desk.elsewhere / "a song.wav").touch()
    done = desk.bash("slurm_separate.sh", "a song.wav", "abcd1234", "--mp3", cwd=desk.elsewhere)
    call = done.of("python3")[-1]
    assert call.folder == str(desk.elsewhere)
    assert call.arguments == [
        "-m", "demucs.separate", "--repo", f"{desk.root}/release_models", "-n", "abcd1234",
        "-o", f"{desk.root}/separated", "--mp3", "--", "a song.wav",
    ]  # fmt: skip
    job = desk.job("slurm_separate.sh", "a song.wav", "abcd1234", cwd=desk.elsewhere)
    assert job.of("python3")[-1].folder == str(desk.elsewhere)


def test_published_models_are_looked_for_where_they_are_fetched(desk: Desk) -> None:
    desk.touch("song.wav")
    call = desk.bash("slurm_separate.sh", "song.wav", "htdemucs").of("python3")[-1]
    assert call.arguments[:6] == [
        "-m", "demucs.separate", "-n", "htdemucs", "-o", f"{desk.root}/separated",
    ]  # fmt: skip
    call = desk.bash("evaluate_slurm.sh", "htdemucs").of("python3")[-1]
    assert call.arguments[:4] == ["-m", "tools.test_pretrained", "-n", "htdemucs"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mine", "local"),
        ("mine,mine", "local"),
        ("htdemucs", "published"),
        ("955717e8", "published"),
        ("mine:1,955717e8:2", "published"),
        ("hf://someone/model", "published"),
        ("nothing", None),
        ("mine,nothing", None),
    ],
)
def test_where_a_model_is(tmp_path: Path, name: str, found: str | None) -> None:
    (tmp_path / "mine.safetensors").touch()
    assert place(name, tmp_path) == found


def test_of_a_folder_the_audio_files_are_taken(desk: Desk) -> None:
    desk.touch("songs/b.MP3", "songs/a b.wav", "songs/cover.jpg", "songs/.c.wav", "songs/d/e.wav")
    done = desk.bash("slurm_separate.sh", "songs", "abcd1234")
    assert separated(done) == ["songs/a b.wav", "songs/b.MP3"]


def test_the_command_finds_the_same_files() -> None:
    said = (SCRIPTS / "slurm_separate.sh").read_text()
    kinds = "|".join(suffix[1:] for suffix in SONG_SUFFIXES)
    assert f"kinds='{kinds}'" in said


def test_with_r_sub_folders_are_taken_and_kept(desk: Desk) -> None:
    desk.touch("songs/b/x.mp3", "songs/a b/x.wav", "songs/y.wav", "songs/.git/z.wav")
    done = desk.bash("slurm_separate.sh", "songs", "abcd1234", "-r", "--resume")
    assert separated(done) == ["songs/a b/x.wav", "songs/b/x.mp3", "songs/y.wav"]
    arguments = done.of("python3")[-1].arguments
    flags = arguments[arguments.index("-r") : arguments.index("--")]
    assert flags == ["-r", "--resume", "--root", "songs"]
    named = desk.bash("slurm_separate.sh", "songs", "abcd1234", "-r", "--root=.")
    assert "songs" not in named.of("python3")[-1].arguments
    desk.touch("songs/b/x.wav")
    twice = desk.bash("slurm_separate.sh", "songs", "abcd1234", "--recursive")
    assert "two files are called songs/b/x," in twice.err


def test_results_are_no_songs(desk: Desk) -> None:
    desk.touch("separated/abcd1234/a/drums.wav", "a.wav")
    done = desk.bash("slurm_separate.sh", ".", "abcd1234", "-r")
    assert separated(done) == ["./a.wav"]


def test_a_list_names_files(desk: Desk) -> None:
    desk.touch("a b.wav", "c.flac")
    (desk.root / "list.txt").write_text("# mine\r\na b.wav\r\n\n  \nc.flac\n")
    assert separated(desk.bash("slurm_separate.sh", "list.txt", "abcd1234")) == [
        "a b.wav",
        "c.flac",
    ]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("nothing.wav", "there is no nothing.wav in "),
        ("empty", "empty has no audio file"),
        ("missing.txt", "missing.txt: there is no file gone.wav"),
        ("twice.txt", "twice.txt: two files are called a,"),
    ],
)
def test_what_cannot_be_separated_is_told(desk: Desk, what: str, reason: str) -> None:
    desk.touch("empty/readme", "a.wav", "other/a.wav")
    (desk.root / "missing.txt").write_text("a.wav\ngone.wav\n")
    (desk.root / "twice.txt").write_text("a.wav\nother/a.wav\n")
    done = desk.bash("slurm_separate.sh", what, "abcd1234")
    assert done.code == 1
    assert done.err.startswith(f"error: {reason}")
    assert done.err.count("\n") == 1


def test_files_of_one_name_are_taken_where_the_user_names_the_results(desk: Desk) -> None:
    desk.touch("songs/a.wav", "songs/a.mp3")
    flag = "--filename={track}-{trackext}-{stem}.{ext}"
    assert len(separated(desk.bash("slurm_separate.sh", "songs", "abcd1234", flag))) == 2


@pytest.mark.parametrize(("files", "size", "tasks"), [(3, "100", 3), (5, "2", 2), (7, "3", 3)])
def test_the_tasks_of_an_array_share_the_files(
    desk: Desk, files: int, size: str, tasks: int
) -> None:
    names = [f"songs/{number}.wav" for number in range(files)]
    desk.touch(*names)
    submitted = desk.bash("submit.sh", "slurm_separate.sh", "songs", "abcd1234",
                          DEMUCS_ARRAY_SIZE=size).submitted  # fmt: skip
    assert f"--array=0-{tasks - 1}" in submitted
    assert "--output=slurm_out/demucs_separate_%A_%a.out" in submitted
    shares = []
    for task in range(tasks):
        done = desk.job(
            "slurm_separate.sh", "songs", "abcd1234",
            SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_MIN="0",
            SLURM_ARRAY_TASK_COUNT=str(tasks), SLURM_ARRAY_TASK_STEP="1",
        )  # fmt: skip
        assert done.code == 0, done.err
        shares.append(separated(done))
        desk.touch(f"songs/0 later {task}.wav")  # which is not for the array that is there already
    assert sorted(name for share in shares for name in share) == names
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [path.name for path in (desk.root / "slurm_out").iterdir()] == [
        "demucs_separate_12.list"
    ]


def test_a_task_without_a_share_does_nothing(desk: Desk) -> None:
    desk.touch("songs/a.wav", "songs/b.wav")
    done = desk.job(
        "slurm_separate.sh", "songs", "abcd1234", SLURM_ARRAY_JOB_ID="12",
        SLURM_ARRAY_TASK_ID="6", SLURM_ARRAY_TASK_MIN="0", SLURM_ARRAY_TASK_COUNT="4",
        SLURM_ARRAY_TASK_STEP="2",
    )  # fmt: skip
    assert done.code == 0
    assert not any("demucs.separate" in call.arguments for call in done.calls)


def test_a_job_with_several_files_submits_the_array_itself(desk: Desk) -> None:
    (desk.elsewhere / "songs").mkdir()
    for name in "abc":
        (desk.elsewhere / "songs" / f"{name}.wav").touch()
    done = desk.job("slurm_separate.sh", "songs", "abcd1234", "--mp3", cwd=desk.elsewhere)
    (call,) = done.of("sbatch")
    assert call.folder == str(desk.elsewhere)
    assert call.arguments[-3:] == ["songs", "abcd1234", "--mp3"]
    assert "--array=0-2" in call.arguments
    assert not [name for name in call.environment if name.startswith("SLURM_")]
    desk.lacks("sbatch")
    alone = desk.job("slurm_separate.sh", "songs", "abcd1234", cwd=desk.elsewhere)
    assert len(separated(alone)) == 3


def test_the_size_of_arrays_is_checked(desk: Desk) -> None:
    desk.touch("a.wav")
    done = desk.bash("slurm_separate.sh", "a.wav", "abcd1234", DEMUCS_ARRAY_SIZE="0")
    assert (done.code, done.err) == (
        1, "error: DEMUCS_ARRAY_SIZE=0: give a number of tasks, e.g. 100\n",
    )  # fmt: skip
