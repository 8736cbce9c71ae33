"""A server that speaks as much of the Hugging Face Hub's protocol as fetching a model takes.

Held against the hub's own client: the public Demucs 4.1.0 fetches from it by `huggingface_hub`
2.4.0.
"""

import hashlib
import http.server
import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

PUBLISHED = Path(__file__).parents[1] / "golden" / "published"
COMMIT = "c0ffee00" * 5
BAG = b"models: [aaaa0001, aaaa0002]\nweights: [[1, 1, 0, 0], [0, 0, 1, 1]]\n"
MODELS = {
    f"aaaa000{k}.safetensors": (PUBLISHED / f"aaaa000{k}s.safetensors").read_bytes() for k in (1, 2)
}


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """`server.files`: repository → file → content; `server.trouble`: what goes wrong, by path."""

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        for part, trouble in self.server.trouble.items():
            if part in path:
                return trouble(self) if callable(trouble) else self.send_error(trouble)
        parts = path.strip("/").split("/")
        if parts[0] == "cdn":
            return self.send_content(self.server.large[parts[1]])
        api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if api else parts[:2])
        files = self.server.files.get(repository)
        if files is None:
            return self.say(401, {"X-Error-Code": "RepoNotFound"})
        if api:
            return self.send_content(json.dumps(self.describe(repository, files)).encode())
        content = files.get(parts[-1])
        if content is None or parts[3] not in ("main", COMMIT):
            return self.say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        return self.resolve(parts[-1], content)

    do_HEAD = do_GET

    def describe(self, repository, files):
        siblings = []
        for name, content in files.items():
            one = {"rfilename": name, "size": len(content), "blobId": blob(content)}
            if name.endswith(".safetensors"):
                sha256 = hashlib.sha256(content).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
                one["blobId"] = blob(sha256.encode())  # of the pointer
            siblings.append(one)
        return {"id": repository, "sha": COMMIT, "private": False, "siblings": siblings,
                "tags": [], "downloads": 0, "cardData": {"license": "mit"}}  # fmt: skip

    def resolve(self, name, content):
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not name.endswith(".safetensors"):
            return self.send_content(content, headers | {"ETag": f'"{blob(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        self.server.large[sha256] = content
        elsewhere = f"http://localhost:{self.server.server_port}/cdn/{sha256}"  # another host
        found = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha256}"',
                 "Location": elsewhere}  # fmt: skip
        return self.say(302, headers | found)

    def send_content(self, content, headers=None):
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        self.send_response(206 if start else 200)
        body = content[start:]
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def say(self, code, headers):
        self.send_response(code)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def start():
    """A server with two repositories; its `url` is what $HF_ENDPOINT is."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.asked, server.trouble, server.large = [], {}, {}
    server.files = {
        "adefossez/HTDemucs-ft": {"htdemucs_ft.yaml": BAG, "README.md": b"# It\n", **MODELS},
        "someone/Demucs-mine": {"mine.yaml": b"models: [aaaa0002]\n", **MODELS},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
