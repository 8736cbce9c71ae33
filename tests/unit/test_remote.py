"""Published models over HTTP: fetched once, in pieces, checked, and kept; a server of our own."""

import hashlib
import http.server
import json
import threading
from pathlib import Path

import pytest

from demucs.errors import DemucsError, ModelNotFoundError
from demucs.pretrained import get_model
from demucs.release import download as downloads
from demucs.release import remote
from demucs.release.download import DownloadError, download

PUBLISHED = Path(__file__).parents[1] / "golden" / "published"
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


def test_a_name_is_fetched_once_and_then_works_offline(published, server, monkeypatch):
    model = get_model("pair")
    assert [path for path, _ in server.asked] == [f"/models/place/{NAME}"]
    assert sorted(one.name for one in (published / "cache").iterdir()) == [NAME, "pair.yaml"]
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


def test_another_checksum_removes_the_file(published, server):
    server.trouble = ["corrupted"]
    with pytest.raises(DownloadError, match=f"instead of {CHECKSUM}: it is removed"):
        get_model("aaaa0002")
    assert list((published / "cache").iterdir()) == []
    get_model("aaaa0002")


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


def test_what_was_damaged_in_the_cache_is_told(published):
    get_model("aaaa0002")
    (published / "cache" / NAME).write_bytes(FILES[NAME][:-1] + b"x")
    with pytest.raises(DemucsError, match="is corrupted"):
        get_model("aaaa0002")


def test_an_unknown_name_has_near_ones(published):
    with pytest.raises(ModelNotFoundError, match=r"Published models: pair.*\.$"):
        get_model("qqqqqqqq")
    with pytest.raises(ModelNotFoundError, match="published models, did you mean pair"):
        get_model("pairs")


def test_the_public_catalogue_is_whole():
    content = remote.catalogue()
    signatures = {name.rpartition("/")[2].partition("-")[0] for name in content["files"]}
    assert len(signatures) == len(content["files"]) == 27
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx", "mdx_extra",
                 "mdx_q", "mdx_extra_q", "repro_mdx_a"):  # fmt: skip
        assert set(content["bags"][name]["models"]) <= signatures
    for name in content["files"]:
        checksum = name.rpartition("-")[2].removesuffix(".th")
        assert len(checksum) == 8
        assert set(checksum) <= set("0123456789abcdef")
    assert set(content["files"].values()) <= set(content["trained_on"])
    assert remote.is_remote("htdemucs")
    assert remote.is_remote("955717e8")
    assert not remote.is_remote("mine")
    assert hashlib.sha256(FILES[NAME]).hexdigest().startswith(CHECKSUM)
