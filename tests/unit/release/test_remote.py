"""Published models over HTTP: fetched once, in pieces, checked, and kept; a server of our own."""

import hashlib
import http.server
import io
import json
import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.api import Separator, list_models
from demucs.errors import DemucsError, ModelNotFoundError
from demucs.evaluation import Results
from demucs.nn import build_model
from demucs.pretrained import get_model
from demucs.release import download as downloads
from demucs.release import public_licences as licences
from demucs.release import remote, torchaudio_weights
from demucs.release.download import DownloadError, download
from demucs.release.listing import list_entries
from tools import test_pretrained

PUBLISHED = Path(__file__).parents[2] / "golden" / "published"
FILES = {path.name: path.read_bytes() for path in PUBLISHED.glob("aaaa000[123]-*.th")}
NAME = next(name for name in FILES if name.startswith("aaaa0002"))
CHECKSUM = NAME.partition("-")[2].removesuffix(".th")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves FILES; `server.trouble` is a list of what goes wrong, one for each request."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        trouble = server.trouble.pop(0) if server.trouble else ""
        content = FILES.get(self.path.rpartition("/")[2])
        if content is None or trouble.isdigit():
            self.send_error(int(trouble) if trouble else 404)
            return
        start = 0
        if self.headers.get("Range") and trouble != "no ranges":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
        body = content[start:]
        if trouble == "corrupted":
            body = body[:100] + b"x" + body[101:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if trouble == "slow":
            server.released.wait(5)
        self.wfile.write(body[: len(body) // 2] if trouble == "truncated" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.trouble, found.asked, found.released = [], [], threading.Event()
    threading.Thread(target=found.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{found.server_port}/models"
    monkeypatch.setattr(downloads.time, "sleep", lambda _: None)
    yield found
    found.released.set()
    found.shutdown()
    found.server_close()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """A catalogue of our own, and empty folders."""
    content = {
        "root": "http://127.0.0.1:1/",
        "trained_on": {"musdb": "100 songs", "extra": "all songs"},
        "stems": {"usual": ["drums", "bass", "other", "vocals"]},
        "files": {
            f"place/{name}": "extra" if "aaaa0003" in name else "musdb" for name in sorted(FILES)
        },
        "bags": {
            "pair": {"models": ["aaaa0002", "aaaa0002"], "weights": [[1, 1, 0, 0], [0, 0, 1, 1]]},
            "mixed": {"models": ["aaaa0002", "aaaa0003"], "segment": 2},
        },
    }
    (tmp_path / "catalogue.json").write_text(json.dumps(content))
    monkeypatch.setattr(remote, "CATALOGUE", tmp_path / "catalogue.json")
    monkeypatch.setenv("DEMUCS_MODELS", server.url)
    monkeypatch.setenv("DEMUCS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    remote.catalogue.cache_clear()
    remote._files.cache_clear()
    yield tmp_path
    remote.catalogue.cache_clear()
    remote._files.cache_clear()


def kept(folder):
    """The names of files in the cache; a lock stays there, hidden."""
    return sorted(one.name for one in (folder / "cache").glob("[!.]*"))


def test_a_name_is_fetched_once_and_then_works_offline(published, server, monkeypatch):
    model = get_model("pair")
    assert [path for path, _ in server.asked] == [f"/models/place/{NAME}"]
    assert kept(published) == [NAME, "pair.yaml"]
    assert (published / "cache" / NAME).read_bytes() == FILES[NAME]
    assert model.release.provenance["test_set_seen"] == "no"
    assert model.release.provenance["trained_on"] == "100 songs"
    monkeypatch.setenv("DEMUCS_MODELS", "http://127.0.0.1:1")
    assert len(get_model("pair").models) == 2
    assert get_model("aaaa0002").release.signature == "aaaa0002"
    assert len(server.asked) == 1


def test_leakage_of_a_member_is_said_of_the_bag(published):
    model = get_model("mixed")
    assert model.release.provenance["test_set_seen"].startswith("yes: ")
    assert [one.release.provenance["trained_on"] for one in model.models] == [
        "100 songs", "all songs",
    ]  # fmt: skip
    assert model.segment == 2


def test_a_bag_of_published_models_by_a_list_of_names(published, server):
    model = get_model("aaaa0002:1:1:0:0,aaaa0003:0:0:1:1")
    assert model.weights == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert model.release.provenance["test_set_seen"].startswith("yes: ")
    assert Separator("aaaa0002,aaaa0002").model.release.provenance["test_set_seen"] == "no"
    assert len(server.asked) == 2
    with pytest.raises(DemucsError, match="pair is a bag, and cannot be in another one; it has aa"):
        get_model("pair,aaaa0002")


def write_song(folder):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for source in ("drums", "bass", "other", "vocals"):
        wav = 0.2 * rng.standard_normal((8000, 2))
        soundfile.write(folder / f"{source}.wav", wav, 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("aaaa0003", True),
        ("mixed", True),
        ("aaaa0002,aaaa0003", True),
        ("pair", False),
        ("aaaa0002", False),
        ("aaaa0002:1,aaaa0002:2", False),
    ],
)
def test_an_evaluation_says_that_a_model_was_trained_on_the_test_songs(
    published, capsys, name, seen
):
    write_song(published / "songs" / "one")
    line = ["-n", name, "--musdb", "songs", "--no-sdr", "test.shifts=0", "test.workers=0"]
    assert test_pretrained.main([*line, "-d", "cpu"]) == 0
    out = capsys.readouterr().out
    assert ("has seen the test set (yes: it was trained on the test songs" in out) == seen
    assert "WARNING" in out or not seen
    (path,) = (published / "release_models").glob("evaluation_*.json")
    assert path.name == f"evaluation_{name.replace(':', '=')}.json"
    assert len(json.loads(path.read_text())["warnings"]) == seen
    assert Results.load(path).model["name"] == name


def test_what_is_listed_is_what_is_fetched(published, server):
    def listed():
        return {one.name: one for one in list_entries()}

    assert {one.place for one in listed().values()} == {"published"}
    assert {one.size for one in listed().values()} == {None}
    assert list_models()["single"]["aaaa0002"] == f"{server.url}/place/{NAME}"
    assert list_models()["bag"] == dict.fromkeys(("pair", "mixed"), remote.CATALOGUE)
    get_model("pair")
    found, size = listed(), len(FILES[NAME])
    assert (found["pair"].place, found["pair"].size, found["pair"].here) == ("fetched", size, 1)
    assert (found["mixed"].place, found["mixed"].size, found["mixed"].here) == (
        "published",
        None,
        1,
    )
    assert (found["aaaa0002"].place, found["aaaa0002"].size) == ("fetched", size)
    assert found["mixed"].trained_on == "all songs; 100 songs"
    assert found["mixed"].test_set_seen.startswith("yes: ")
    assert found["pair"].stems == ["drums", "bass", "other", "vocals"]
    assert list_models()["single"]["aaaa0002"] == published / "cache" / NAME
    assert list_models()["bag"]["pair"] == published / "cache" / "pair.yaml"
    assert len(server.asked) == 1
    (published / "cache" / NAME).write_bytes(FILES[NAME][:5000])
    found = listed()
    for name in ("aaaa0002", "pair"):
        assert "File is not a zip file" in found[name].problem
        assert f"move {published / 'cache' / NAME}" in found[name].problem


def test_a_local_name_hides_a_published_one(published):
    (published / "release_models").mkdir()
    (published / "release_models" / NAME).write_bytes(FILES[NAME])
    found = [one for one in list_entries() if one.name == "aaaa0002"]
    assert [one.place for one in found] == ["local"]
    assert found[0].trained_on == "100 songs"  # a copy of the published file
    assert list_models()["single"]["aaaa0002"].parent.name == "release_models"
    assert [one.name for one in list_entries("release_models")] == ["aaaa0002"]


def test_a_folder_that_is_given_is_the_only_place(published, server):
    (published / "mine").mkdir()
    with pytest.raises(ModelNotFoundError):
        get_model("pair", published / "mine")
    assert server.asked == []


@pytest.mark.parametrize("trouble", [["truncated"], ["truncated", "truncated"], ["500", "503"]])
def test_what_breaks_off_is_gone_on_with(published, server, trouble):
    server.trouble = list(trouble)
    get_model("aaaa0002")
    assert len(server.asked) == len(trouble) + 1
    if "truncated" in trouble:
        assert server.asked[1][1] == f"bytes={len(FILES[NAME]) // 2}-"
    assert not list((published / "cache").glob("*.part"))


def test_a_later_attempt_goes_on_with_an_earlier_one(tmp_path, server):
    server.trouble = ["truncated", "500", "500", "500"]
    with pytest.raises(DownloadError, match="the server says 500"):
        download(f"{server.url}/{NAME}", tmp_path / NAME, CHECKSUM, progress=False)
    assert (tmp_path / f"{NAME}.part").stat().st_size == len(FILES[NAME]) // 2
    download(f"{server.url}/{NAME}", tmp_path / NAME, CHECKSUM, progress=False)
    assert server.asked[-1][1] == f"bytes={len(FILES[NAME]) // 2}-"
    assert (tmp_path / NAME).read_bytes() == FILES[NAME]


@pytest.mark.parametrize("trouble", ["", "no ranges"])
@pytest.mark.parametrize("size", [0, 100, "all", "more"])
def test_whatever_was_left_the_file_is_right(tmp_path, server, size, trouble):
    whole = FILES[NAME]
    left = {0: b"", 100: whole[:100], "all": whole, "more": whole + b"x"}[size]
    (tmp_path / f"{NAME}.part").write_bytes(left)
    server.trouble = [trouble]
    download(f"{server.url}/{NAME}", tmp_path / NAME, CHECKSUM, progress=False)
    assert (tmp_path / NAME).read_bytes() == whole


@pytest.mark.parametrize("mirrored", [False, True])
def test_torchaudios_weights_are_elsewhere(published, server, monkeypatch, mirrored):
    """At an address of their own, which a mirror has under its root; one without a checksum."""
    high = torchaudio_weights.HDEMUCS_HIGH
    small = {"channels": 8, "nfft": 256, "depth": 4, "norm_starts": 2}
    spec = replace(high, kwargs={**high.kwargs, **small})
    monkeypatch.setattr(torchaudio_weights, "HDEMUCS_HIGH", spec)
    there = {here: name for name, here in torchaudio_weights.BRANCHES.items()}
    state = {}
    for name, weight in build_model(spec).state_dict().items():
        branch, _, rest = name.partition(".")
        state[f"{there[branch]}.{rest}"] = weight
    buffer = io.BytesIO()
    torch.save(state, buffer)
    for name in ("seen", "unseen"):
        monkeypatch.setitem(FILES, f"{name}.pt", buffer.getvalue())
    content = remote.catalogue()
    address = f"http://127.0.0.1:{1 if mirrored else server.server_port}/torchaudio/models"
    content["files"] |= {f"{address}/seen.pt": "extra", f"{address}/unseen.pt": "musdb"}
    content["checksums"] = {"seen.pt": hashlib.sha256(buffer.getvalue()).hexdigest()}
    if not mirrored:
        monkeypatch.delenv("DEMUCS_MODELS")
    for name, seen in (("seen", "yes: "), ("unseen", "no")):
        model = get_model(name)
        assert model.release.provenance["test_set_seen"].startswith(seen)
        assert model.release.licence == licences.TORCHAUDIO
        assert torch.equal(model.encoder[0].conv.bias, state["freq_encoder.0.conv.bias"])
    root = "/models" if mirrored else ""
    assert [path for path, _ in server.asked] == [
        f"{root}/torchaudio/models/{name}.pt" for name in ("seen", "unseen")
    ]
    listed = {one.name: one for one in list_entries()}
    assert listed["seen"].licence == listed["unseen"].licence == licences.TORCHAUDIO
    assert (listed["seen"].place, listed["seen"].trained_on) == ("fetched", "all songs")
    assert listed["seen"].size == len(buffer.getvalue())
    (published / "cache" / "seen.pt").unlink()
    assert {one.name: one for one in list_entries()}["seen"].place == "published"
    server.trouble = ["corrupted"]
    with pytest.raises(DownloadError, match="it is removed"):
        get_model("seen")


def test_another_checksum_removes_the_file(published, server):
    server.trouble = ["corrupted"]
    with pytest.raises(DownloadError, match=f"instead of {CHECKSUM}: it is removed"):
        get_model("aaaa0002")
    assert kept(published) == []
    get_model("aaaa0002")


def test_processes_that_want_one_file_fetch_it_once(tmp_path, server):
    """As the tasks of a SLURM job: the first one fetches, the others wait for it."""
    server.trouble = ["slow"]
    url, path = f"{server.url}/{NAME}", tmp_path / "cache" / NAME
    fork = multiprocessing.get_context("fork")  # which need not import torch again
    started = [
        fork.Process(target=download, args=(url, path, CHECKSUM), kwargs={"progress": False})
        for _ in range(3)
    ]
    for one in started:
        one.start()
    for one in started:
        one.join(60)
    assert [one.exitcode for one in started] == [0, 0, 0]
    assert len(server.asked) == 1
    assert kept(tmp_path) == [NAME]


def test_a_file_that_is_not_there(published, server):
    server.trouble = ["404"]
    with pytest.raises(DownloadError) as caught:
        get_model("aaaa0002")
    for word in (server.url, "404", str(published / "cache"), "--repo"):
        assert word in str(caught.value)
    assert len(server.asked) == 1


def test_no_network(published, monkeypatch):
    monkeypatch.setenv("DEMUCS_MODELS", "http://127.0.0.1:1")
    with pytest.raises(DownloadError, match=r"Connection refused.*put it into") as caught:
        get_model("pair")
    assert NAME in str(caught.value)


def test_a_server_that_says_nothing(tmp_path, server, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    server.trouble = ["slow"] * downloads.TRIES
    with pytest.raises(DownloadError, match="timed out"):
        download(f"{server.url}/{NAME}", tmp_path / NAME, CHECKSUM, progress=False)


def test_what_was_damaged_in_the_cache_is_fetched_again(published, server, caplog):
    get_model("aaaa0002")
    path = published / "cache" / NAME
    path.write_bytes(FILES[NAME][:-1] + b"x")
    get_model("aaaa0002")
    assert f"{path} is damaged: it is removed" in caplog.text
    assert path.read_bytes() == FILES[NAME]
    path.write_bytes(FILES[NAME][:-1] + b"x")
    server.trouble = ["404"]
    with pytest.raises(DownloadError, match="the server says 404"):
        get_model("aaaa0002")
    assert not path.exists()


def test_an_address_that_is_none(published, monkeypatch):
    monkeypatch.setenv("DEMUCS_MODELS", str(published))
    with pytest.raises(DownloadError, match="is not an address: it must begin with http://"):
        get_model("aaaa0002")


def test_an_unknown_name_has_near_ones(published):
    with pytest.raises(ModelNotFoundError, match=r"Published models: pair.*\.$"):
        get_model("qqqqqqqq")
    with pytest.raises(ModelNotFoundError, match=r"\. Of the published models, did you mean pair"):
        get_model("pairs")


def test_the_public_catalogue_is_whole():
    content = remote.catalogue()
    torchaudios = {name for name in content["files"] if "://" in name}
    own = content["files"].keys() - torchaudios
    signatures = {name.rpartition("/")[2].partition("-")[0] for name in own}
    assert (len(signatures), len(own), len(torchaudios)) == (27, 27, 2)
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx", "mdx_extra",
                 "mdx_q", "mdx_extra_q", "repro_mdx_a"):  # fmt: skip
        assert set(content["bags"][name]["models"]) <= signatures
    stems = content["stems"]
    assert set(stems) - {"usual"} <= signatures
    assert remote.stems_of("955717e8") == stems["usual"] == ["drums", "bass", "other", "vocals"]
    assert remote.stems_of("5c90dfd2") == [*stems["usual"], "guitar", "piano"]
    for name in own:
        checksum = name.rpartition("-")[2].removesuffix(".th")
        assert len(checksum) == 8
        assert set(checksum) <= set("0123456789abcdef")
    assert set(content["files"].values()) <= set(content["trained_on"])
    assert remote.is_remote("htdemucs")
    assert remote.is_remote("955717e8")
    for name in torchaudios:
        assert remote.is_remote(name.rpartition("/")[2].removesuffix(".pt"))
    assert {"hdemucs_high_trained", "hdemucs_high_musdbhq_only"} <= set(remote.remote_names())
    assert not remote.is_remote("mine")
    assert hashlib.sha256(FILES[NAME]).hexdigest().startswith(CHECKSUM)
