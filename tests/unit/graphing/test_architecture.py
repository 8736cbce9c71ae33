"""The description of a network is of its real layers, and the picture draws any of them."""

import json

import pytest
import torch

from demucs.errors import ConfigError
from demucs.nn import build_model
from tests.unit.graphing import ROOT, call
from tools.architecture import describe, main, spec_of

import architecture  # isort: skip

TINY = ["channels=8", "depth=3", "nfft=256", "dconv_lstm=1", "dconv_attn=2", "norm_starts=1"]


@pytest.mark.parametrize(
    "overrides",
    [
        TINY,
        [*TINY, "cac=false", "hybrid_old=true", "audio_channels=1", "depth=4"],
        ["model=htdemucs", "channels=8", "t_heads=2", "t_layers=2", "use_train_segment=false"],
        ["model=demucs", "channels=8", "depth=2", "lstm_layers=1", "dconv_lstm=1"],
    ],
    ids=["hdemucs", "amplitude", "htdemucs", "demucs"],
)
def test_shapes_are_those_of_a_real_run(overrides):
    spec = spec_of(overrides)
    network = describe(spec, 0.2)
    model, seen = build_model(spec).eval(), {}

    def hook(name):
        def keep(module, inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            seen[name] = (list(inputs[0].shape[1:]), list(first.shape[1:]))

        return keep

    for layer in network["layers"]:
        model.get_submodule(layer["name"]).register_forward_hook(hook(layer["name"]))
    with torch.no_grad():
        stems = model(torch.randn(1, *network["mixture"]))
    assert list(stems.shape[1:]) == network["stems"]
    assert {one["name"]: (one["input"], one["output"]) for one in network["layers"]} == seen
    counts = network["parameters"]
    assert counts["total"] == sum(one.numel() for one in model.parameters())
    assert counts["total"] == sum(counts[name] for name in ("frequency", "time", "shared", "other"))


def test_flags_and_the_meeting():
    network = describe(spec_of([*TINY, "depth=4"]), 0.2)
    layers = {one["name"]: one for one in network["layers"]}
    flags = ("dconv", "lstm", "attention", "norm")
    assert [layers["encoder.0"][flag] for flag in flags] == [True, False, False, False]
    assert [layers["encoder.2"][flag] for flag in flags] == [True, True, True, True]
    assert [layers["decoder.0"][flag] for flag in flags] == [False, False, False, True]
    assert network["meeting"]["from"] == "tencoder.2"
    assert network["meeting"]["into"] == "encoder.2"
    assert network["meeting"]["out_of"] == "decoder.1"
    assert network["meeting"]["back_to"] == "tdecoder.0"
    assert layers["encoder.3"]["branch"] == layers["decoder.0"]["branch"] == "shared"


def test_the_picture_in_docs_is_of_the_default_network(tmp_path):
    kept = json.loads((ROOT / "docs" / "architecture.json").read_text())
    assert kept == json.loads(json.dumps(describe(spec_of([]), 10)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["foo"], "not KEY=VALUE"),
        (["foo=1"], "no argument foo"),
        (["depth=1"], "too shallow"),
        (["a=[1"], "cannot be read"),
        (["model=torch_hdemucs"], "another package's network"),
        (["model=other"], "model=other is unknown"),
        (["--seconds", "0"], "not a length"),
        (["--release", "none", "--repo", "nowhere"], "none"),
        (["--release", "none", "channels=3"], "leave channels=3 out"),
    ],
)
def test_wrong_networks_end_with_a_message(overrides, message, capsys):
    assert main(overrides) == 2
    assert message in capsys.readouterr().err


def test_describe_refuses_what_it_cannot_draw():
    with pytest.raises(ConfigError, match="torch_hdemucs"):
        describe(spec_of(["model=torch_hdemucs"]), 1)


@pytest.mark.parametrize(
    "overrides",
    [
        [*TINY, "hybrid=false"],
        [*TINY, "multi_freqs=[0.5]", "dconv_mode=3", "cac=false", "wiener_iters=1"],
        ["model=htdemucs", "channels=8", "t_heads=2", "t_layers=0"],
        ["model=demucs", "channels=8", "depth=3"],
    ],
    ids=["frequencies", "bands", "htdemucs", "demucs"],
)
def test_other_networks_are_drawn_with_all_their_shapes(overrides):
    network = json.loads(json.dumps(describe(spec_of(overrides), 0.5)))
    sheet = architecture.draw(network)
    drawn = [text.get_text() for text in sheet.axes.texts]
    for layer in network["layers"]:
        assert any(text.startswith(architecture.shape(layer["output"])) for text in drawn)
    width, height = sheet.figure.get_size_inches()
    sheet.figure.canvas.draw()
    for text in sheet.axes.texts:  # nothing is cut off
        box = text.get_window_extent().transformed(sheet.axes.transData.inverted())
        assert box.x0 > 0
        assert box.y0 > 0
        assert box.x1 < width
        assert box.y1 < height


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "not a description of a network"),
        ('{"format": "demucs-architecture-1", "model": "tasnet"}', "'tasnet'"),
        ('{"format": "demucs-architecture-1", "model": "hdemucs"}', "lacks arguments, layers"),
    ],
)
def test_a_wrong_file_ends_with_a_message(tmp_path, content, message, capsys):
    path = tmp_path / "network.json"
    if content is not None:
        path.write_text(content)
    assert call(architecture, path) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))
