"""Models of the Hugging Face Hub by name: one commit, checked, kept, and offline from then on."""

import json
import subprocess
import sys

import pytest
import torch

from demucs.apply import apply_model
from demucs.errors import DemucsError, ModelNotFoundError, ReleaseError
from demucs.pretrained import get_model
from demucs.release import download as downloads
from demucs.release import hub_cache, remote
from demucs.release.download import DownloadError
from demucs.release.hub import ENDPOINT, _endpoint
from demucs.release.listing import list_entries
from tests.unit import hub_server
from tests.unit.hub_server import BAG, COMMIT, MODELS

NAME = "hf://htdemucs_ft"


@pytest.fixture
def server(tmp_path, monkeypatch):
    found = hub_server.start()
    monkeypatch.setenv("HF_ENDPOINT", found.url)
    monkeypatch.setenv("DEMUCS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads.time, "sleep", lambda _: None)
    monkeypatch.chdir(tmp_path)
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "hub" / "adefossez" / "htdemucs_ft"


def test_a_name_is_fetched_once_and_then_works_offline(server, folder, monkeypatch):
    bag = get_model(NAME)
    assert [len(bag.models), bag.weights] == [2, [[1, 1, 0, 0], [0, 0, 1, 1]]]
    assert sorted(one.name for one in folder.glob("[!.]*")) == [
        "aaaa0001.safetensors", "aaaa0002.safetensors", "htdemucs_ft.yaml", "hub.json",
    ]  # fmt: skip
    for name, content in MODELS.items():
        assert (folder / name).read_bytes() == content
    asked = [path for _, path, _ in server.asked if not path.startswith("/cdn/")]
    assert asked[0] == "/api/models/adefossez/HTDemucs-ft/revision/main"
    assert all(path.startswith(f"/adefossez/HTDemucs-ft/resolve/{COMMIT}/") for path in asked[1:])
    assert bag.release.signature == NAME
    assert bag.release.licence == "mit, as adefossez/HTDemucs-ft says on the hub"
    assert bag.release.provenance["commit"] == COMMIT
    assert bag.release.provenance["test_set_seen"] is None  # nobody said
    number = len(server.asked)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    mix = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
    again = apply_model(get_model(NAME), mix, shifts=0)
    assert torch.equal(again, apply_model(bag, mix, shifts=0))
    assert len(server.asked) == number


def test_what_the_public_models_learnt_from_is_said(server, monkeypatch):
    """By their signatures, in the namespace of the public models only."""
    content = {"root": "", "trained_on": {"extra": "test songs too"}, "bags": {},
               "files": {f"x/aaaa000{k}-00000000.th": "extra" for k in (1, 2)},
               "stems": {"usual": []}}  # fmt: skip
    monkeypatch.setattr(remote, "catalogue", lambda: content)
    monkeypatch.setattr(remote, "_files", remote._files.__wrapped__)
    bag = get_model(NAME)
    for one in (bag, *bag.models):
        assert one.release.provenance["test_set_seen"].startswith("yes: ")
        assert one.release.provenance["trained_on"] == "test songs too"
    other = get_model("hf://someone/mine")
    assert other.release.provenance["test_set_seen"] is None
    listed = {one.name: one for one in list_entries()}
    assert listed["hf://adefossez/htdemucs_ft"].trained_on == "test songs too"
    assert listed["hf://someone/mine"].trained_on is None
    assert listed["hf://someone/mine"].licence == "mit, as someone/Demucs-mine says on the hub"
    assert listed["hf://someone/mine"].size == len(MODELS["aaaa0002.safetensors"])
    assert [one.place for one in listed.values() if one.name.startswith("hf://")] == ["fetched"] * 2


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("htdemucs", "adefossez/HTDemucs"),
        ("htdemucs_6s", "adefossez/HTDemucs-6s"),
        ("mdx_extra_q", "adefossez/Demucs-mdx_extra_q"),
        ("some-one/htdemucs_ft", "some-one/HTDemucs-ft"),
    ],
)
def test_names_of_repositories_are_those_of_the_public_demucs(name, repository):
    assert hub_cache.repository(*hub_cache.parse(f"hf://{name}")) == repository


@pytest.mark.parametrize(
    "name", ["hf://", "hf://a/b/c", "hf://../x", "hf://x/", "hf://a b", "hf:///x"]
)
def test_names_that_are_none(server, name):
    with pytest.raises(ModelNotFoundError, match="is not the name of a model of the hub"):
        get_model(name)
    assert server.asked == []


def test_an_unknown_repository(server):
    with pytest.raises(ModelNotFoundError) as caught:
        get_model("hf://nobody/mine")
    for word in ("nobody/Demucs-mine", "401", server.url, "hf://htdemucs_ft"):
        assert word in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="give hf://someone/mine"):
        get_model("someone/mine")


def test_a_repository_of_something_else(server):
    files = server.files["someone/Demucs-mine"]
    del files["aaaa0002.safetensors"]
    with pytest.raises(
        ModelNotFoundError, match=r"has no aaaa0002\.safetensors.* It has: aaaa0001"
    ):
        get_model("hf://someone/mine")
    del files["mine.yaml"]
    with pytest.raises(ModelNotFoundError, match=r"has no mine\.yaml"):
        get_model("hf://someone/mine")
    files["mine.yaml"] = b"models: [../../x]"
    with pytest.raises(ReleaseError, match=r"names a model '\.\./\.\./x'"):
        get_model("hf://someone/mine")
    files["mine.yaml"] = b"{"
    with pytest.raises(ReleaseError, match="is not a bag of models"):
        get_model("hf://someone/mine")


def test_no_network(server, folder, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        DownloadError, match=r"cannot be fetched from .*refused.*copy the folder"
    ) as caught:
        get_model(NAME)
    assert str(folder) in str(caught.value)
    assert not folder.exists()
    monkeypatch.delenv("HF_ENDPOINT")
    assert _endpoint() == ENDPOINT == "https://huggingface.co"


@pytest.mark.parametrize("code", [500, 503])
def test_a_server_in_trouble(server, code):
    server.trouble = {"/api/": code}
    with pytest.raises(DownloadError, match=f"the server says {code}"):
        get_model(NAME)
    server.trouble = {"/cdn/": code}
    with pytest.raises(DownloadError, match=rf"the server says {code}.*copy the folder"):
        get_model(NAME)
    server.trouble = {}
    assert get_model(NAME)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"\xff"])
def test_an_answer_that_is_none(server, answer):
    server.trouble = {"/api/": lambda handler: handler.send_content(answer)}
    with pytest.raises(DownloadError, match="does not answer like the Hugging Face Hub"):
        get_model(NAME)


@pytest.mark.parametrize(
    "answer", [b'{"siblings": ["x"]}', b'{"siblings": [{"lfs": [1]}]}', b'{"siblings": 3}']
)
def test_an_answer_of_another_shape(server, answer):
    server.trouble = {"/api/": lambda handler: handler.send_content(answer)}
    with pytest.raises(DownloadError, match="does not answer like the Hugging Face Hub"):
        get_model(NAME)


@pytest.mark.parametrize("where", ["/cdn/", "htdemucs_ft.yaml"])
def test_what_is_altered_on_the_way_is_removed(server, folder, where):
    wrong = BAG.replace(b"1, 1", b"1, 2") if "yaml" in where else b"x" * 1000
    headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hub_server.blob(BAG)}"'}
    server.trouble = {where: lambda handler: handler.send_content(wrong, headers)}
    with pytest.raises(DownloadError, match=r"came with the checksum|should be of size"):
        get_model(NAME)
    assert not [one for one in folder.iterdir() if one.name.endswith((".part", ".safetensors"))]
    server.trouble = {}
    assert len(get_model(NAME).models) == 2


def test_a_connection_that_breaks_is_resumed(server, folder, monkeypatch):
    def cut(handler):
        """The first 5000 bytes, then no connection."""
        content = MODELS["aaaa0001.safetensors"]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:5000])
        handler.close_connection = True
        server.trouble = {}

    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    folder.mkdir(parents=True)
    (folder / "aaaa0002.safetensors").write_bytes(MODELS["aaaa0002.safetensors"])
    server.trouble = {"/cdn/": cut}
    get_model(NAME)
    fetched = [asked for asked in server.asked if asked[1].startswith("/cdn/")]
    assert [span for _, _, span in fetched] == [None, "bytes=5000-"]
    assert (folder / "aaaa0001.safetensors").read_bytes() == MODELS["aaaa0001.safetensors"]


def test_what_was_fetched_before_an_error_is_kept(server, folder):
    wanted = [f"/{name}" for name in MODELS]
    server.trouble = {wanted[1]: 503}
    with pytest.raises(DownloadError, match="the server says 503"):
        get_model(NAME)
    assert [path.name for path in folder.glob("[!.]*.safetensors")] == ["aaaa0001.safetensors"]
    server.trouble, server.asked = {wanted[0]: 503}, []
    assert len(get_model(NAME).models) == 2
    assert sum(path.startswith("/cdn/") for _, path, _ in server.asked) == 1


def test_offline_by_the_librarys_switch(server, monkeypatch):
    get_model(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert get_model(NAME).weights == [[1, 1, 0, 0], [0, 0, 1, 1]]
    with pytest.raises(DownloadError, match=r"Offline.*copy the folder.*HF_HUB_OFFLINE"):
        get_model("hf://someone/mine")


def test_the_library_is_imported_for_models_of_the_hub_alone():
    code = "import sys, demucs.api; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("file", ["aaaa0001.safetensors", "htdemucs_ft.yaml"])
def test_what_was_damaged_in_the_cache_is_told(server, folder, file):
    get_model(NAME)
    content = bytearray((folder / file).read_bytes())
    content[-2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(DemucsError, match=rf"{file} is corrupted.* Move "):
        get_model(NAME)


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"files": {"gone": ""}}'])
def test_a_broken_record_is_fetched_again(server, folder, record):
    get_model(NAME)
    (folder / "hub.json").write_text(record)
    assert len(get_model(NAME).models) == 2
    assert json.loads((folder / "hub.json").read_text())["commit"] == COMMIT
    assert sum(path.startswith("/cdn/") for _, path, _ in server.asked) == 2


def test_files_of_an_earlier_commit_are_replaced(server, folder):
    folder.mkdir(parents=True)
    for name in ("htdemucs_ft.yaml", *MODELS):
        (folder / name).write_bytes(b"models: [old]")
    assert len(get_model(NAME).models) == 2
    assert (folder / "htdemucs_ft.yaml").read_bytes() == BAG


def test_a_bag_of_the_hub_is_in_no_other_bag(server):
    with pytest.raises(ReleaseError, match="hf://someone/mine is a bag of the hub"):
        get_model("a,hf://someone/mine")
