"""Releases: what goes in comes out, and nothing damaged or foreign gets in."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import demucs
from demucs.errors import ModelNotFoundError, ReleaseError
from demucs.nn import ModelSpec, build_model
from demucs.release import (
    ReleaseFolder,
    ReleaseInfo,
    is_valid_name,
    load_release,
    read_release_info,
    save_release,
    weights_sha256,
)

SPEC = ModelSpec(
    name="hdemucs", kwargs={"sources": ["low", "high"], "channels": 4, "nfft": 256, "depth": 4}
)


def make_info(**changes):
    values = {
        "signature": "0123abcd",
        "spec": SPEC,
        "config": {"epochs": 3, "ema": {"batch": [0.9]}, "dset": {"musdb": "/data/müsik"}},
        "provenance": {"test_set_seen": "no", "versions": {"demucs": "0.1.0"}},
    }
    return ReleaseInfo(**{**values, **changes})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(SPEC).eval()


@pytest.fixture(scope="module")
def release(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "0123abcd.safetensors"
    save_release(path, model.state_dict(), make_info())
    return path


def header_length(path):
    return struct.unpack("<Q", path.read_bytes()[:8])[0]


def damaged(tmp_path, data):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    return path


def test_round_trip_is_exact(model, release):
    loaded, info = load_release(release)
    assert info == make_info() == read_release_info(release)
    assert weights_sha256(loaded.state_dict()) == weights_sha256(model.state_dict())
    assert not loaded.training
    mix = torch.randn(1, 2, 3000)
    with torch.no_grad():
        assert torch.equal(loaded(mix), model(mix))


def test_half_precision_halves_the_file_and_loads_as_float32(model, release, tmp_path):
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save_release(tmp_path / "half.safetensors", half, make_info())
    weights = [
        p.stat().st_size - header_length(p) for p in (tmp_path / "half.safetensors", release)
    ]
    assert weights[0] < 0.51 * weights[1]
    loaded, _ = load_release(tmp_path / "half.safetensors")
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, half[name].float())


def test_shared_and_strided_weights_are_saved(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_release(tmp_path / "a.safetensors", {"a": weight, "b": weight.t()}, make_info())
    assert read_release_info(tmp_path / "a.safetensors") == make_info()


def test_checksum_says_what_it_covers(model):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = weights_sha256(state)
    assert weights_sha256(dict(reversed(state.items()))) == before
    name = next(iter(state))
    assert weights_sha256({**state, name: state[name].double()}) != before
    assert weights_sha256({**state, name: state[name].unsqueeze(0)}) != before
    state["other"] = state.pop(name)
    assert weights_sha256(state) != before


@pytest.mark.parametrize("share", [0.0, 1e-5, 5e-5, 0.01, 0.1, 0.5, 0.9, 0.99999])
def test_truncated_file_is_refused(release, tmp_path, share):
    data = release.read_bytes()
    path = damaged(tmp_path, data[: int(share * len(data))])
    for read in (load_release, read_release_info):
        with pytest.raises(ReleaseError, match=r"damaged\.safetensors.*Export it again"):
            read(path)


def test_no_flipped_bit_of_the_header_gets_through(release, tmp_path):
    data = release.read_bytes()
    for position in [*range(8), *range(8, 8 + header_length(release), 53)]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 7)
        path = damaged(tmp_path, bytes(flipped))
        with pytest.raises(ReleaseError, match=r"damaged\.safetensors"):
            load_release(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 1.0])
def test_flipped_bit_of_the_weights_is_refused(release, tmp_path, share):
    data = bytearray(release.read_bytes())
    first = 8 + header_length(release)
    data[first + int(share * (len(data) - 1 - first))] ^= 1
    with pytest.raises(ReleaseError, match="checksum does not match"):
        load_release(damaged(tmp_path, bytes(data)))


def test_bytes_after_the_end_are_refused(release, tmp_path):
    with pytest.raises(ReleaseError):
        load_release(damaged(tmp_path, release.read_bytes() + b"more"))


@pytest.mark.parametrize("data", [b"", b"hello, this is a text file\n" * 9, b"\x80\x02}q\x00."])
def test_other_files_are_refused(tmp_path, data):
    with pytest.raises(ReleaseError, match="cannot be read"):
        load_release(damaged(tmp_path, data))


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"format": "demucs-release-2"}, {"format": "demucs-release-1"}],
)
def test_foreign_safetensors_are_refused(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ReleaseError, match="is not a release of this project"):
        load_release(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"signature": "x", "spec": 3}'])
def test_unreadable_description_is_refused(tmp_path, text):
    path = tmp_path / "odd.safetensors"
    metadata = {"format": "demucs-release-1", "info": text, "sha256": "0"}
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ReleaseError, match="unreadable description"):
        read_release_info(path)


def test_a_folder_is_no_release(tmp_path):
    with pytest.raises(ReleaseError, match="cannot be read"):
        load_release(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"nothing\.safetensors"):
        load_release(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    "spec",
    [ModelSpec(name="tomorrow", kwargs={}), ModelSpec(name="hdemucs", kwargs={"sources": []})],
)
def test_release_of_another_version_is_refused(model, tmp_path, spec):
    said = {"0.0.9": "(?=.*exported by demucs 0.0.9)", demucs.__version__: "(?!.*exported)"}
    for version, words in said.items():
        provenance = {"versions": {"demucs": version}}
        info = make_info(spec=spec, provenance=provenance)
        save_release(tmp_path / "a.safetensors", model.state_dict(), info)
        with pytest.raises(ReleaseError, match=f"^{words}.*does not fit"):
            load_release(tmp_path / "a.safetensors")


def test_weights_of_another_model_are_refused(tmp_path):
    save_release(tmp_path / "a.safetensors", {"weight": torch.zeros(2)}, make_info())
    with pytest.raises(ReleaseError, match="does not fit"):
        load_release(tmp_path / "a.safetensors")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, Path("x"), torch.zeros(1)])
def test_descriptions_are_plain_json(model, tmp_path, value):
    with pytest.raises(ReleaseError, match="plain JSON"):
        save_release(tmp_path / "a.safetensors", model.state_dict(), make_info(config={"a": value}))
    assert not list(tmp_path.iterdir())


def test_a_release_without_weights_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match="no weights"):
        save_release(tmp_path / "a.safetensors", {}, make_info())


def test_description_is_canonical():
    one = make_info(config={"a": 1, "b": 2})
    other = make_info(config={"b": 2, "a": 1})
    assert one.to_json() == other.to_json()
    assert json.loads(one.to_json())["spec"]["name"] == "hdemucs"


@pytest.mark.parametrize("name", ["53288a8c", "demo 2", "modèle-1.2", "a" * 200])
def test_names(name):
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/b", "/etc/passwd", "..", ".hidden", "a\\b", "C:x", "a\0b", "a\n", " a", "-n",
     "a" * 201],
)  # fmt: skip
def test_names_that_lead_elsewhere(tmp_path, name):
    assert not is_valid_name(name)
    with pytest.raises(ModelNotFoundError, match="is not the name of a model"):
        ReleaseFolder(tmp_path).path(name)


def test_folder_lists_finished_releases_only(release, tmp_path):
    for name in ("b.safetensors", "a.safetensors", ".c.123.safetensors", "d.txt"):
        (tmp_path / name).write_bytes(release.read_bytes())
    folder = ReleaseFolder(tmp_path)
    assert folder.names() == ["a", "b"]
    assert folder.path("a") == tmp_path / "a.safetensors"
    assert folder.load("b")[1].signature == "0123abcd"
    assert ReleaseFolder(tmp_path / "nowhere").names() == []


def test_loading_draws_no_random_numbers(tmp_path):
    spec = ModelSpec(name="hdemucs", kwargs={"sources": ["a", "b"], "channels": 8})
    model = build_model(spec)
    info = ReleaseInfo(signature="one", spec=spec, config={}, provenance={})
    save_release(tmp_path / "one.safetensors", model.state_dict(), info)
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    loaded, _ = load_release(tmp_path / "one.safetensors")
    assert torch.equal(torch.get_rng_state(), expected)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, model.state_dict()[name])
        assert parameter.requires_grad


def test_writing_to_loaded_weights_leaves_the_file(tmp_path):
    spec = ModelSpec(name="hdemucs", kwargs={"sources": ["a", "b"], "channels": 8})
    path = tmp_path / "one.safetensors"
    info = ReleaseInfo(signature="one", spec=spec, config={}, provenance={})
    save_release(path, build_model(spec).state_dict(), info)
    before = path.read_bytes()
    loaded, _ = load_release(path)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert path.read_bytes() == before
