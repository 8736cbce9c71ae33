"""Files of torchaudio's weights: read as a model, converted, or refused by what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demucs.errors import ReleaseError
from demucs.nn import build_model
from demucs.pretrained import get_model
from demucs.release import ReleaseFolder, read_release, torchaudio_weights
from demucs.release import public_licences as licences
from tools.convert import main as convert

NAMES = Path(__file__).parents[2] / "golden" / "torchaudio" / "names.json"
# Of the golden file's small network, whose weights are named as those of the published size.
SMALL = dict(channels=8, nfft=256, depth=4, dconv_lstm=2, dconv_attn=2, norm_starts=2)
NAME = "hdemucs_high_trained"


@pytest.fixture
def state(monkeypatch):
    """The weights of a network that stands for the published one, to be quick."""
    high = torchaudio_weights.HDEMUCS_HIGH
    small = replace(high, kwargs={**high.kwargs, **SMALL})
    monkeypatch.setattr(torchaudio_weights, "HDEMUCS_HIGH", small)
    torch.manual_seed(0)
    shapes = json.loads(NAMES.read_text())["small"]
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_the_published_size_is_the_one_of_its_names():
    shapes = json.loads(NAMES.read_text())["high"]
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    model = torchaudio_weights.load_hdemucs_high(state)
    assert sum(one.numel() for one in model.parameters()) == 83_637_832
    assert model.sources == ["drums", "bass", "other", "vocals"]
    assert (model.samplerate, model.audio_channels, model.segment) == (44100, 2, 44)


@pytest.mark.parametrize("half", [False, True])
def test_a_file_is_a_model_by_its_name_and_becomes_a_release(tmp_path, state, half):
    if half:
        state = {name: one.half() for name, one in state.items()}
    torch.save(state, tmp_path / f"{NAME}.pt")
    assert ReleaseFolder(tmp_path).names() == [NAME]
    model = get_model(NAME, tmp_path)
    assert not model.training
    assert model.release.licence == licences.TORCHAUDIO
    assert model.release.provenance["published"] == f"{NAME}.pt"
    weights = model.state_dict()
    assert torch.equal(weights["tencoder.0.conv.bias"], state["time_encoder.0.conv.bias"].float())
    options = [NAME, "--repo", str(tmp_path), "--to", "release", "--out", str(tmp_path / "out")]
    assert convert(options) == 0
    tensors, info = read_release(tmp_path / "out" / f"{NAME}.safetensors")
    assert info.spec == torchaudio_weights.HDEMUCS_HIGH
    assert all(torch.equal(tensors[name], one) for name, one in weights.items())
    assert build_model(info.spec).state_dict().keys() == tensors.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.pop("freq_emb.embedding.weight"), ["without freq_emb.embedding.weight"]),
        (
            lambda one: one.update(state_dict={}, epoch=torch.zeros(1)),
            ["with state_dict, epoch"],
        ),
        (
            lambda one: one.update({"time_decoder.2.conv_tr.bias": torch.zeros(4)}),
            ["time_decoder.2.conv_tr.bias [4] instead of [8]", "4 stems"],
        ),
        (
            lambda one: one.update({"freq_encoder.0.conv.bias": torch.zeros(8).int()}),
            ["freq_encoder.0.conv.bias torch.int32 instead of [8]"],
        ),
        (lambda one: one.update({"freq_encoder.0.conv.bias": 3}), ["conv.bias int instead"]),
        (lambda one: one.clear(), ["without freq_encoder.0.conv.weight", "more"]),
        (
            lambda one: [one.update({f"model.{key}": one.pop(key)}) for key in list(one)],
            ["without freq_encoder.0.conv.weight", "; with model.freq_encoder", "more"],
        ),
    ],
)
def test_other_weights_are_refused_by_their_names(tmp_path, state, capsys, change, words):
    change(state)
    torch.save(state, tmp_path / f"{NAME}.pt")
    assert convert([NAME, "--repo", str(tmp_path), "--to", "release"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / NAME}.pt does not hold torchaudio's HDemucs: ")
    assert all(word in line for word in words), line


def test_a_file_that_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / f"{NAME}.pt")
    with pytest.raises(ReleaseError, match=r"it holds a list, not tensors by name"):
        get_model(NAME, tmp_path)


def test_an_altered_byte_is_found_without_a_checksum(tmp_path, state):
    """The file has a sum of each tensor."""
    path = tmp_path / f"{NAME}.pt"
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"is damaged.*download it again"):
        get_model(NAME, tmp_path)
