"""The list of models: headers only, broken files with their reason, tables and JSON."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from demucs.errors import ReleaseError
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.header import Header, read_header
from demucs.release.listing import ModelEntry, list_entries
from demucs.separate import main
from demucs.separate.list_models import models_json, models_text

PUBLISHED = Path(__file__).parents[2] / "golden" / "published"
FOUR = ["drums", "bass", "other", "vocals"]
SPEC = ModelSpec(name="hdemucs", kwargs={"sources": FOUR, "channels": 4, "nfft": 256, "depth": 4})


def write(folder, name, spec=SPEC, licence="CC0", config=None, **provenance):
    info = ReleaseInfo(
        signature=name, spec=spec, config=config or {}, provenance=provenance, licence=licence
    )
    save_release(folder / f"{name}.safetensors", {"w": torch.zeros(64)}, info)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEMUCS_CACHE", str(tmp_path / "cache"))
    found = tmp_path / "release_models"
    found.mkdir()
    data = {"musdb": "musdb18hq", "wav": "mixes", "songs": ["a", "b", "c"]}
    write(found, "one", data=data, test_set_seen="no")
    write(found, "two", licence="CC BY", test_set_seen="unknown: it was continued from x",
          data={"musdb": "demo", "wav": "own"}, config={"dset": {"use_musdb": False}})  # fmt: skip
    (found / "both.yaml").write_text("models: [one, two]\nweights: [[1, 1, 0, 0], [0, 0, 1, 1]]\n")
    return found


def listed(*arguments):
    return {one.name: one for one in list_entries(*arguments)}


def test_a_release_says_what_it_is(folder):
    found = listed(folder)
    assert list(found) == ["both", "one", "two"]
    one, two, both = found["one"], found["two"], found["both"]
    assert (one.kind, one.place, one.stems) == ("single", "local", FOUR)
    assert one.trained_on == "musdb18hq, mixes, 3 songs"
    assert (one.test_set_seen, one.licence) == ("no", "CC0")
    assert one.size == (folder / "one.safetensors").stat().st_size
    assert two.trained_on == "own"
    assert two.test_set_seen.startswith("unknown")
    assert (both.models, both.here, both.stems) == (["one", "two"], 2, FOUR)
    assert both.size == one.size + two.size
    assert both.licence == "CC0; CC BY"
    assert both.trained_on == "musdb18hq, mixes, 3 songs; own"
    assert both.test_set_seen == two.test_set_seen
    assert both.weights == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_public_files_say_what_they_can(folder):
    for path in PUBLISHED.glob("aaaa*"):
        shutil.copy(path, folder)
    found = listed(folder)
    for name in ("aaaa0001", "aaaa0001s", "aaaa0002", "aaaa0003s", "aaaa0004"):
        assert (found[name].stems, found[name].problem) == (FOUR, None), name
        assert (found[name].trained_on, found[name].licence) == (None, None)
    assert read_header(folder / "aaaa0001s.safetensors").network == "htdemucs"
    assert read_header(next(folder.glob("aaaa0002-*"))) == Header(stems=FOUR, network="hdemucs")


def test_torchaudios_weights_say_what_they_can(folder):
    """By another name than the published one; the network is always the same."""
    torch.save({"weight": torch.zeros(3)}, folder / "mine.pt")
    torch.save({"weight": torch.zeros(3)}, folder / "hdemucs_high_trained.pt")
    (folder / "cut.pt").write_bytes((folder / "mine.pt").read_bytes()[:-50])
    found = listed(folder)
    assert (found["mine"].stems, found["mine"].trained_on) == (FOUR, None)
    assert "torchaudio" in found["mine"].licence
    assert "test songs" in found["hdemucs_high_trained"].trained_on
    assert "damaged, cut short" in found["cut"].problem


def damaged(folder):
    good = (folder / "one.safetensors").read_bytes()
    (pickled,) = PUBLISHED.glob("aaaa0002-*.th")
    other = ModelSpec(name="hdemucs", kwargs={**SPEC.kwargs, "sources": FOUR[::-1]})
    write(folder, "reversed", other)
    header = json.dumps({"__metadata__": {"format": "demucs-release-1", "info": "{"}}).encode()
    foreign = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    return {
        "cut.safetensors": (good[:-10], "damaged, cut short"),
        "tiny.safetensors": (b"x", "damaged, cut short"),
        "empty.safetensors": (b"", "damaged, cut short"),
        "text.safetensors": (struct.pack("<Q", len(header)) + header, "not a model that is known"),
        "foreign.safetensors": (struct.pack("<Q", len(foreign)) + foreign, "something else"),
        "junk.th": (b"junk", "cannot be read"),
        "cut.th": (pickled.read_bytes()[:-100], "cannot be read"),
        "no.yaml": (b"[", "is not a bag of models"),
        "gone.yaml": (b"models: [one, gone]", "its model gone is not in the folder"),
        "bad.yaml": (b"models: [one, tiny]", "its model tiny: damaged"),
        "differ.yaml": (b"models: [one, reversed]", "the stems of one and reversed differ: "
                        f"{FOUR} and {FOUR[::-1]}"),
        "weights.yaml": (b"models: [one]\nweights: [[1, 2]]", "give 1 rows"),
        "nested.yaml": (b"models: [both]", "its model both is not in the folder"),
    }  # fmt: skip


def test_broken_files_are_listed_with_their_reason(folder, capsys):
    wrong = damaged(folder)
    for name, (content, _) in wrong.items():
        (folder / name).write_bytes(content)
    (folder / "dir.safetensors").mkdir()
    shutil.copy(folder / "one.safetensors", folder / "locked.safetensors")
    found = list_entries(folder)
    by_file = {Path(one.path).name: one for one in found}
    for name, (_, reason) in wrong.items():
        if name != "cut.th":  # hidden by cut.safetensors, as it is where it is loaded
            assert reason in by_file[name].problem, name
            assert by_file[name].size is None
    assert by_file["dir.safetensors"].problem
    assert {one.name for one in found if one.problem is None} == {
        "one", "two", "both", "reversed", "locked",
    }  # fmt: skip
    main(["--list-models", "--repo", str(folder)])
    out = capsys.readouterr().out
    assert out.count(" broken ") == len(wrong)
    (folder / "x-00000000.th").write_bytes(b"")
    (folder / "x-11111111.th").write_bytes(b"")
    assert "x-00000000.th, x-11111111.th" in listed(folder)["x"].problem


def test_unreadable_files(folder):
    path = folder / "aaaa0003s.safetensors"
    with pytest.raises(ReleaseError, match="damaged"):
        read_header(path)


@pytest.mark.parametrize("width", [20, 80, 100, 120, 300])
def test_a_table_fits_the_terminal(folder, width):
    write(folder, "a" * 150, licence="x" * 300)
    text = models_text(list_entries(), width)
    lines = text.splitlines()
    for line in lines:
        assert len(line) <= max(width, 80) or "a" * 150 in line or "x" * 60 in line, line
    assert [line for line in lines if line and not line.startswith((" ", "licence"))] == [
        "Bag of models:", "Single models:",
    ]  # fmt: skip
    names = [line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "]
    for name in ("both", "htdemucs_ft", "one", "955717e8", "repro_mdx_a_hybrid_only"):
        assert names.count(name) == 1, name
    places = [line for line in lines if line.startswith("  ") and line[2] != " "]
    assert [line.split(":")[0].split(",")[0].strip() for line in places] == [
        "in release_models", "published", "in release_models", "published",
    ]  # fmt: skip


def test_what_a_row_says(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "132")
    main(["--list-models", "--repo", str(folder)])
    out = capsys.readouterr().out
    size = f"{(folder / 'one.safetensors').stat().st_size / 2**20:.1f} MiB"
    rows = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line.strip()}
    assert rows["one"] == f"one {size} drums bass other vocals (2) musdb18hq, mixes, 3 songs"
    assert rows["two"] == (
        f"two {size} drums bass other vocals (3) own; test songs: unknown: it was continued from x"
    )
    assert out.endswith("licence (1): CC0; CC BY\nlicence (2): CC0\nlicence (3): CC BY\n")
    assert "htdemucs" not in out  # only this folder


def test_an_empty_folder(folder, capsys):
    (folder / "nothing").mkdir()
    main(["--list-models", "--repo", str(folder / "nothing")])
    assert capsys.readouterr().out == "Bag of models:\n    none\n\nSingle models:\n    none\n"


def test_json_for_programs(folder, capsys, tmp_path):
    main(["--list-models", "--json", "-"])
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads(models_json(list_entries()))
    found = {one["name"]: one for one in content["models"]}
    assert found["both"]["weights"] == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert found["htdemucs_ft"]["models"] == ["f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"]
    assert found["htdemucs_ft"]["size"] is None
    assert found["5c90dfd2"]["stems"] == [*FOUR, "guitar", "piano"]
    assert found["mdx_extra"]["test_set_seen"].startswith("yes: ")
    main(["--list-models", "--json", str(tmp_path / "list.json")])
    assert json.loads((tmp_path / "list.json").read_text()) == content
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as caught:
        main(["--list-models", "--json", str(folder)])
    assert caught.value.code == 1
    assert "Cannot write --json" in capsys.readouterr().err
    assert ModelEntry(**found["one"]) in list_entries()


def test_a_list_is_quick_and_reads_headers_only(folder):
    """A release of 2 GiB, of which only the header is on the disk; and no torch is imported."""
    info = ReleaseInfo(signature="big", spec=SPEC, config={}, provenance={}).to_json()
    length = 2**31
    header = json.dumps({
        "__metadata__": {"format": "demucs-release-1", "info": info, "sha256": ""},
        "w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]},
    }).encode()  # fmt: skip
    with (folder / "big.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + length)
    code = """if True:
        import sys
        from pathlib import Path
        from demucs.separate import main
        main(["--list-models"])
        status = Path("/proc/self/status").read_text()
        peak = status.partition("VmHWM:")[2].split()[0]
        print(sorted({"torch", "demucs.nn", "hydra"} & set(sys.modules)), peak, file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert " 2048.0 MiB " in done.stdout, done.stdout
    heavy, peak = done.stderr.rsplit(" ", 1)
    assert heavy == "[]"
    assert int(peak) < 200 * 1024  # KiB


def test_names_are_models_that_load(folder):
    """What is listed without a problem can be loaded under its name."""
    from demucs.pretrained import get_model

    torch.manual_seed(0)
    info = ReleaseInfo(signature="one", spec=SPEC, config={}, provenance={})
    for name in ("one", "two"):
        save_release(folder / f"{name}.safetensors", build_model(SPEC).state_dict(), info)
    shutil.copy(PUBLISHED / "aaaa0003s.safetensors", folder)
    for one in list_entries(folder):
        assert one.problem is None
        assert get_model(one.name, folder).sources == one.stems
