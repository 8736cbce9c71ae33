"""Model files of the public Demucs: the same numbers, and nothing that a file could run."""

import io
import json
import os
import pickle
import shutil
import struct
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from demucs.errors import MissingToolError, ModelNotFoundError, ReleaseError
from demucs.release.published import is_published, load_published
from demucs.release.unpickle import MARKERS, unpickle

GOLDEN = Path(__file__).parents[2] / "golden"
sys.path.insert(0, str(GOLDEN))
from hdemucs_cases import mixture  # noqa: E402
from make_published import LENGTH  # noqa: E402

FILES = sorted(path for path in (GOLDEN / "published").iterdir() if path.suffix != ".npz")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_published_files_have_their_numbers(path):
    name = path.name[:8]
    if name == "aaaa0004":
        pytest.importorskip("diffq")
    model, info = load_published(path, name)
    assert not model.training
    expected = np.load(GOLDEN / "published" / "expected.npz")[name]
    with torch.no_grad():
        out = model(mixture(name, 1, 2, LENGTH).float())[..., ::7].numpy()
    assert np.abs(out - expected).max() <= 1e-5 * np.abs(expected).max()
    assert is_published(path)
    assert info.signature == name
    json.dumps(info.spec.to_dict())
    if path.suffix == ".th":
        assert info.config["epochs"] == 3


def test_packed_weights_without_diffq_say_so(monkeypatch):
    (path,) = (one for one in FILES if one.name.startswith("aaaa0004"))
    monkeypatch.setitem(sys.modules, "diffq", None)
    with pytest.raises(MissingToolError, match=r"pip install diffq.*CC BY-NC"):
        load_published(path, "x")


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(path: Path, program: bytes) -> Path:
    """A file of torch.save whose pickle is `program`."""
    buffer = io.BytesIO()
    torch.save({"state": torch.zeros(3)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, program if name.endswith("data.pkl") else old.read(name))
    return path


def raw(module: str, name: str, *arguments: str, protocol: int = 2) -> bytes:
    """A program that calls `module.name(*arguments)`, written by hand."""
    texts = b"".join(b"X" + struct.pack("<I", len(a)) + a.encode() for a in arguments)
    if protocol >= 4:
        named = b"".join(b"\x8c" + bytes([len(one)]) + one.encode() for one in (module, name))
        named += b"\x93"
    else:
        named = f"c{module}\n{name}\n".encode()
    return b"\x80" + bytes([protocol]) + named + b"(" + texts + b"tR."


HOSTILE = {
    "os.system": lambda here: pickle.dumps(Calls(os.system, f"touch {here}/ran"), 2),
    "posix.system": lambda here: raw("posix", "system", f"touch {here}/ran"),
    "nt.system": lambda here: raw("nt", "system", "x"),
    "os.popen": lambda here: pickle.dumps(Calls(os.popen, f"touch {here}/ran"), 2),
    "subprocess": lambda here: raw("subprocess", "getoutput", f"touch {here}/ran"),
    "subprocess by protocol 4": lambda here: raw(
        "subprocess", "getoutput", f"touch {here}/ran", protocol=4
    ),
    "eval": lambda here: pickle.dumps(Calls(eval, f"open('{here}/ran', 'w')"), 2),
    "exec": lambda here: pickle.dumps(Calls(exec, f"open('{here}/ran', 'w')"), 2),
    "python 2's eval": lambda here: raw("__builtin__", "eval", f"open('{here}/ran', 'w')"),
    "compile": lambda here: raw("builtins", "compile", "1", "x", "eval"),
    "open": lambda here: pickle.dumps(Calls(open, f"{here}/ran", "w"), 2),
    "getattr": lambda here: pickle.dumps(Calls(getattr, "x", "__class__"), 2),
    "__import__": lambda here: pickle.dumps(Calls(__import__, "antigravity"), 2),
    "importlib": lambda here: raw("importlib", "import_module", "antigravity"),
    "runpy": lambda here: raw("runpy", "run_path", f"{here}/evil.py"),
    "pickle in a pickle": lambda here: raw("pickle", "loads", "cos\nsystem\n(Vtouch\ntR."),
    "torch.load": lambda here: raw("torch.serialization", "load", f"{here}/other"),
    "torch.hub": lambda here: raw("torch.hub", "load", "evil/repository", "model"),
    "numpy.load": lambda here: raw("numpy", "load", f"{here}/evil.npy"),
    "a network": lambda here: raw("demucs.nn.hdemucs", "HDemucs", "x"),
    "a place inside an allowed module": lambda here: raw("demucs.hdemucs", "os.system", "x"),
    "a marker's own module": lambda here: raw("demucs.release.unpickle", "torch.load", "x"),
    "webbrowser": lambda here: raw("webbrowser", "open", "http://localhost"),
    "shutil": lambda here: raw("shutil", "rmtree", f"{here}"),
    "socket": lambda here: raw("socket", "create_connection", "localhost"),
    "ctypes": lambda here: raw("ctypes", "CDLL", f"{here}/evil.so"),
    "functools.partial": lambda here: raw("functools", "partial", "x"),
    "instance by the old way": lambda here: b"(Vx\nios\nsystem\n.",
    "object by the old way": lambda here: b"(cos\nsystem\nVx\no.",
    "a number without end": lambda here: raw("fractions", "Fraction", "1e999999999"),
    "a fraction without end": lambda here: raw("fractions", "Fraction", "1/1e999999999"),
    "extension registry": lambda here: b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickles_are_refused_and_not_run(tmp_path, kind):
    program = HOSTILE[kind](tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    path = write(tmp_path / "model.th", program)
    before = set(sys.modules)
    with pytest.raises(ReleaseError, match=r"refused|cannot be read") as caught:
        unpickle(path)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert tmp_path.exists()
    assert "antigravity" not in set(sys.modules) - before
    with pytest.raises(ReleaseError):
        load_published(path, "x")


def test_names_in_a_file_do_not_reach_the_terminal_as_they_are(tmp_path):
    path = write(tmp_path / "model.th", raw("\x1b[2J", "\x1b[31mevil", "x"))
    with pytest.raises(ReleaseError) as caught:
        unpickle(path)
    assert "\x1b" not in str(caught.value)
    assert "evil" in str(caught.value)


@pytest.mark.parametrize("kind", ["os.system", "eval", "subprocess", "shutil", "runpy"])
def test_what_is_refused_is_named(tmp_path, kind):
    path = write(tmp_path / "model.th", HOSTILE[kind](tmp_path))
    word = {"os.system": "system", "runpy": "runpy.run_path"}.get(kind, kind)
    with pytest.raises(ReleaseError, match=rf"it names .*{word}.*Nothing of it was run"):
        unpickle(path)


def test_calling_an_allowed_name_makes_a_marker_only(tmp_path):
    for full in MARKERS:
        module, _, name = full.rpartition(".")
        path = write(tmp_path / "model.th", raw(module, name))
        with pytest.raises(ReleaseError):
            load_published(path, "x")
    program = pickle.dumps(Calls(Fraction, "9" * 10**6, "3"), 2)
    with pytest.raises(ReleaseError, match=r"cannot be read|refused"):
        unpickle(write(tmp_path / "model.th", program))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"no model at all",
        b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00exittR.",  # a bare pickle
        b"\x1f\x8b" + 100 * b"x",
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.th"
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"cannot be read|refused"):
        unpickle(path)


def test_a_file_cut_short_or_altered(tmp_path):
    whole = FILES[0].read_bytes()
    assert FILES[0].suffix == ".th"
    for cut in (10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "model.th").write_bytes(whole[:cut])
        with pytest.raises(ReleaseError, match="cannot be read"):
            load_published(tmp_path / "model.th", "x")
    with pytest.raises(ModelNotFoundError):
        unpickle(tmp_path / "nothing.th")


def test_two_programs_or_a_huge_one(tmp_path):
    path = write(tmp_path / "model.th", b"}.")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("other/data.pkl", raw("os", "system", "x"))
    with pytest.raises(ReleaseError, match="has 2 pickles"):
        unpickle(path)
    path = tmp_path / "bomb.th"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x00" * (65 * 2**20))
        file.writestr("archive/version", b"3")
    with pytest.raises(ReleaseError, match="65 MiB"):
        unpickle(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"klass": "x"}, "its class is 'x'"),
        ({"kwargs": {"sources": []}}, "at least one source"),
        ({"kwargs": {"sources": ["a"], "channels": -3}}, "does not hold a model"),
        ({"state": {}}, "Missing key"),
        ({"state": 3}, "not a dictionary"),
        ({"state": {"__quantized": True}}, "meta"),
        ({"args": 3}, "does not hold a model"),
    ],
)
def test_packages_that_are_no_models(tmp_path, changes, message):
    whole = unpickle(FILES[0])
    content = {**whole, "klass": "demucs.htdemucs.HTDemucs", **changes}
    torch.save(content, tmp_path / "model.th")
    with pytest.raises(ReleaseError, match=message):
        load_published(tmp_path / "model.th", "x")


def test_arguments_of_the_past_are_dropped(tmp_path, caplog):
    whole = unpickle(FILES[0])
    kwargs = {**whole["kwargs"], "forgotten": 1}
    content = {**whole, "klass": "demucs.htdemucs.HTDemucs", "kwargs": kwargs}
    torch.save(content, tmp_path / "model.th")
    load_published(tmp_path / "model.th", "x")
    assert "forgotten" in caplog.text


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "klass"),
        ({"klass": "os.system", "args": "[]", "kwargs": "{}"}, "its class is 'os.system'"),
        ({"klass": "demucs.hdemucs.HDemucs", "args": "[", "kwargs": "{}"}, "cannot be read"),
        (
            {
                "klass": "demucs.hdemucs.HDemucs", "args": "[]", "kwargs": "{}",
                "structure": json.dumps({"_class": "os.system"}),
            },
            "names 'os.system'",
        ),
        (
            {
                "klass": "demucs.hdemucs.HDemucs", "args": "[]", "kwargs": "{}",
                "structure": json.dumps({"_tensor": "nowhere"}),
            },
            "nowhere",
        ),
    ],
)  # fmt: skip
def test_hostile_safetensors_are_refused(tmp_path, metadata, message):
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata=metadata)
    with pytest.raises(ReleaseError, match=message):
        load_published(tmp_path / "model.safetensors", "x")


def fraction(above, below):
    return {"_type": "fraction", "numerator": above, "denominator": below}


@pytest.mark.parametrize(
    ("klass", "kwargs"),
    [
        ("demucs.htdemucs.HTDemucs", {"segment": fraction(1, 0)}),
        ("demucs.htdemucs.HTDemucs", {"segment": fraction(10**400, 1)}),
        ("demucs.htdemucs.HTDemucs", {"t_heads": 0}),
        ("demucs.hdemucs.HDemucs", {"stride": 0}),
        ("demucs.hdemucs.HDemucs", {"growth": float("inf")}),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(tmp_path, klass, kwargs):
    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps({"sources": ["a"], **kwargs})}
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata=metadata)
    with pytest.raises(ReleaseError, match=r"does not hold a model|cannot be read"):
        load_published(tmp_path / "model.safetensors", "x")


def test_a_release_of_ours_is_no_published_file(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors", metadata={"format": "other"})
    assert not is_published(tmp_path / "x.safetensors")
    shutil.copy(FILES[0], tmp_path / "broken.safetensors")
    assert not is_published(tmp_path / "broken.safetensors")
