"""Folders with public files and bags: found by name, checked, and applied."""

import hashlib
import pickletools
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from demucs.api import Separator, list_models
from demucs.apply import apply_model
from demucs.errors import ModelNotFoundError, ReleaseError
from demucs.evaluation.facts import ModelFacts, weights_of
from demucs.nn import ModelSpec, build_model
from demucs.pretrained import get_model
from demucs.release import Bag, ReleaseFolder, ReleaseInfo, read_release, save_release
from demucs.release.names import folder_name, is_valid_name
from demucs.release.publish import save_published
from demucs.release.unpickle import unpickle
from tools.convert import main

PUBLISHED = Path(__file__).parents[2] / "golden" / "published"
KWARGS = {"sources": ["a", "b"], "channels": 4, "nfft": 256, "depth": 4, "samplerate": 8000,
          "segment": 1.0}  # fmt: skip
SPEC = ModelSpec(name="hdemucs", kwargs=KWARGS)


def write(folder, name, seed, **provenance):
    torch.manual_seed(seed)
    info = ReleaseInfo(
        signature=name, spec=SPEC, config={}, provenance={"test_set_seen": "no", **provenance}
    )
    save_release(folder / f"{name}.safetensors", build_model(SPEC).state_dict(), info)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "one", 1, data={"songs": ["x", "y"]})
    write(tmp_path, "two", 2, data={"songs": ["z"]})
    (tmp_path / "both.yaml").write_text("models: [one, two]\nweights: [[1, 0], [0.5, 2]]\n")
    return tmp_path


def test_a_bag_is_the_weighted_mean_of_its_models(folder):
    bag = get_model("both", folder)
    assert isinstance(bag, Bag)
    assert not bag.training
    assert (bag.sources, bag.samplerate, bag.audio_channels, bag.segment) == (
        ["a", "b"], 8000, 2, 1.0,
    )  # fmt: skip
    mix = torch.randn(1, 2, 12000, generator=torch.Generator().manual_seed(0))
    found = apply_model(bag, mix, shifts=0)
    one, two = (apply_model(get_model(name, folder), mix, shifts=0) for name in ("one", "two"))
    assert torch.allclose(found[:, 0], (one[:, 0] + 0.5 * two[:, 0]) / 1.5, atol=1e-6)
    assert torch.allclose(found[:, 1], two[:, 1], atol=1e-6)
    with pytest.raises(NotImplementedError):
        bag(mix)


def test_a_bag_separates_by_the_fast_forms_of_its_models(folder):
    separator = Separator("both", folder, shifts=0)
    mix = torch.randn(2, 12000, generator=torch.Generator().manual_seed(0))
    _, found = separator.separate_tensor(mix)
    plain = Separator("both", folder, shifts=0)
    plain._prepared = plain.model
    _, expected = plain.separate_tensor(mix)
    for name in ("a", "b"):
        assert torch.allclose(found[name], expected[name], atol=1e-4)
    assert [type(one).__name__ for one in separator._network().models] == ["FastHDemucs"] * 2
    listed = list_models(folder)
    assert (list(listed["single"]), list(listed["bag"])) == (["one", "two"], ["both"])


def test_a_bag_by_a_list_of_names(folder):
    """As from a file; one number is a weight for all stems."""
    mix = torch.randn(1, 2, 12000, generator=torch.Generator().manual_seed(0))
    expected = apply_model(get_model("both", folder), mix, shifts=0)
    bag = get_model("one:1:0,two:0.5:2", folder)
    assert torch.equal(apply_model(bag, mix, shifts=0), expected)
    assert bag.release.signature == "one:1:0,two:0.5:2"
    assert bag.release.spec.kwargs["models"] == ["one", "two"]
    assert ModelFacts.of(bag).songs == {"x", "y", "z"}
    assert get_model("one:2, two:3", folder).weights == [[2, 2], [3, 3]]
    assert get_model("one,two", folder).weights == [[1, 1], [1, 1]]
    assert Separator("one,two,one", folder).sources == ["a", "b"]


def test_a_model_whose_name_has_a_comma_is_no_bag(folder):
    write(folder, "one,two", 3)
    assert not isinstance(get_model("one,two", folder), Bag)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one,", "a comma without a model"),
        (",", "a comma without a model"),
        ("one:1:0,two", "weights for some of its models only: .* such as one:1,two:0.5"),
        ("one:1:0,two:1:1:1", r"\[2, 3\] numbers a row: give 2 rows .* of 2"),
        ("one:1:x,two:1:1", "'x' is not a weight"),
        ("one:1:,two:1:1", "'' is not a weight"),
        ("one:1:-1,two:1:1", "a weight of a bag is negative, -1"),
        ("one:1:nan,two:1:1", "not finite"),
        ("one:inf,two:1", "not finite"),
        ("one:1:0,two:1:0", "no model of the bag has a weight for b"),
        ("one,both", "is a bag, and cannot be in another one"),
        ("one,three", "There is no model 'three'"),
        ("one,../two", "is not the name of a model"),
        ("one,other", "one and other cannot be in one bag: sources is .*'a', 'b'.* and .*'drums'"),
    ],
)
def test_wrong_lists_of_names_say_what_is_wrong(folder, name, message):
    for path in PUBLISHED.glob("aaaa0002-*.th"):
        shutil.copy(path, folder / "other.th")
    with pytest.raises((ReleaseError, ModelNotFoundError), match=message):
        get_model(name, folder)


def test_results_of_any_model_have_a_name_that_disks_take():
    assert folder_name("htdemucs") == "htdemucs"
    assert folder_name("a,b") == "a,b"
    assert folder_name("hf://someone/mine") == "someone--mine"
    long = ",".join(f"model{k}:1:0:1:1" for k in range(20))
    assert len(folder_name(long)) < 80
    assert folder_name(long) != folder_name(long + ":1")
    for name in ("hf://someone/mine", "a:1:0,b:0:1", long):
        assert is_valid_name(folder_name(name))


def test_a_bag_knows_what_its_models_know(folder):
    bag = get_model("both", folder)
    assert bag.release.signature == "both"
    assert bag.release.provenance["test_set_seen"] == "no"
    assert ModelFacts.of(bag).songs == {"x", "y", "z"}
    assert weights_of(bag) != weights_of(get_model("one", folder))
    assert [one.release.signature for one in bag.models] == ["one", "two"]
    write(folder, "two", 2, test_set_seen="yes: all of it")
    assert get_model("both", folder).release.provenance["test_set_seen"] == "yes: all of it"
    write(folder, "two", 2, test_set_seen=None)
    assert get_model("both", folder).release.provenance["test_set_seen"] is None


def test_names_that_look_like_numbers(folder):
    for name in ("01234567", "12345678", "0b1010"):
        write(folder, name, 3)
    (folder / "numbers.yaml").write_text("models: [01234567, 12345678, 0b1010]")
    assert get_model("numbers", folder).release.spec.kwargs["models"] == [
        "01234567", "12345678", "0b1010",
    ]  # fmt: skip


def test_a_segment_is_for_all_models_that_allow_it(folder):
    (folder / "long.yaml").write_text("models: [one, two]\nsegment: 4\n")
    bag = get_model("long", folder)
    assert [one.segment for one in bag.models] == [4.0, 4.0]
    for path in PUBLISHED.glob("aaaa0001-*.th"):
        shutil.copy(path, folder)
    (folder / "trained.yaml").write_text("models: [aaaa0001]\nsegment: 4\n")
    assert get_model("trained", folder).segment == 0.78  # no longer than it was trained with


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: []", "no list `models`"),
        ("- one", "no list `models`"),
        ("models: one", "models=one is not a list"),
        ("models: [one", "is not a bag"),
        ("models: [one, two]\nweights: [[1, 1]]", "give 2 rows"),
        ("models: [one]\nweights: [[1, 1, 1]]", "of 2 "),
        ("models: [one]\nweights: [[1, 0]]", "no model of the bag has a weight for b"),
        ("models: [one]\nweights: [[1, -1]]", "negative"),
        ("models: [one]\nweights: loud", "is not a bag"),
        ("models: [one]\nsegment: 0", "not above 0"),
        ("models: [one]\nsegments: 4", "'segments'"),
        ("models: [both]", "cannot be in another"),
        ("models: [one, other]", "sources is .* and "),
        ("models: [one, three]", "There is no model 'three'"),
    ],
)
def test_wrong_bags_say_what_is_wrong(folder, text, message):
    for path in PUBLISHED.glob("aaaa0002-*.th"):
        shutil.copy(path, folder / "other.th")
    (folder / "wrong.yaml").write_text(text)
    with pytest.raises((ReleaseError, ModelNotFoundError), match=message):
        get_model("wrong", folder)


def test_names_of_all_kinds(folder):
    (path,) = PUBLISHED.glob("aaaa0002-*.th")
    shutil.copy(path, folder)
    shutil.copy(PUBLISHED / "aaaa0003s.safetensors", folder / "aaaa0003.safetensors")
    listed = ReleaseFolder(folder)
    assert listed.names() == ["aaaa0002", "aaaa0003", "one", "two"]
    assert listed.bags() == ["both"]
    assert listed.path("aaaa0002") == listed.path(path.stem) == folder / path.name
    for name in ("aaaa0002", "aaaa0003"):
        assert get_model(name, folder).release.signature == name
    with pytest.raises(ModelNotFoundError, match="Did you mean both"):
        get_model("bothe", folder)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("hdemucs", KWARGS),
        ("htdemucs", {**KWARGS, "depth": 2, "channels": 8, "t_heads": 2, "segment": 7.8}),
        ("demucs", {"sources": ["a", "b"], "channels": 4, "depth": 3}),
    ],
)
def test_there_and_back_is_exact(tmp_path, capsys, name, kwargs):
    """Release, public file of either kind, release: not a bit differs."""
    spec = ModelSpec(name=name, kwargs=kwargs)
    state = build_model(spec).state_dict()
    config = {"epochs": 3, "dset": {"musdb": "x"}, "nothing": None}
    info = ReleaseInfo(signature="it", spec=spec, config=config, provenance={})
    save_release(tmp_path / "it.safetensors", state, info)
    for kind in ("th", "safetensors"):
        out, back = tmp_path / kind, tmp_path / f"{kind} back"
        assert main(["it", "--repo", str(tmp_path), "--to", kind, "--out", str(out)]) == 0
        assert main(["it", "--repo", str(out), "--to", "release", "--out", str(back)]) == 0
        tensors, found = read_release(back / "it.safetensors")
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[key], state[key]) for key in state)
        assert found.spec.kwargs == kwargs
        assert found.config == (config if kind == "th" else {})
    (path,) = (tmp_path / "th").iterdir()
    with zipfile.ZipFile(path) as file:
        (program,) = (file.read(one) for one in file.namelist() if one.endswith("data.pkl"))
    named = {arg for op, arg, _ in pickletools.genops(program) if op.name == "GLOBAL"}
    classes = {"hdemucs": "HDemucs", "htdemucs": "HTDemucs", "demucs": "Demucs"}
    assert f"demucs.{name} {classes[name]}" in named
    assert named - {f"demucs.{name} {classes[name]}"} <= {
        "torch._utils _rebuild_tensor_v2", "torch FloatStorage", "fractions Fraction",
        "collections OrderedDict",
    }  # fmt: skip
    assert capsys.readouterr().out.count("wrote: ") == 4


def test_conversions_that_cannot_be(folder, capsys):
    assert main(["both", "--repo", str(folder), "--to", "th"]) == 1
    assert "is a bag: convert its models" in capsys.readouterr().err
    assert main(["nothing", "--repo", str(folder), "--to", "th"]) == 1
    options = ["one", "--repo", str(folder), "--to", "release", "--out", str(folder)]
    assert main(options) == 1
    assert "exists: give --force" in capsys.readouterr().err


def test_a_checksum_in_the_name_is_checked(folder):
    (path,) = PUBLISHED.glob("aaaa0002-*.th")
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith(path.stem.split("-")[1])
    (folder / "aaaa0002-00000000.th").write_bytes(content)
    with pytest.raises(ReleaseError, match="begins with 00000000"):
        get_model("aaaa0002", folder)
    (folder / "aaaa0002.th").write_bytes(content)
    with pytest.raises(ReleaseError, match="both called aaaa0002"):
        get_model("aaaa0002", folder)


def test_converting_again_gives_the_same_file_or_none(folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["one", "--repo", str(folder), "--to", "th", "--out", str(out)]
    assert main(options) == 0
    (first,) = out.iterdir()
    content = first.read_bytes()
    assert main(options) == 1
    assert f"{first} exists: give --force" in capsys.readouterr().err
    first.rename(out / "one-00000000.th")  # of other weights
    assert main([*options, "--force"]) == 0
    assert [path.read_bytes() for path in out.iterdir()] == [content]
    assert list(out.iterdir()) == [first]


@pytest.mark.parametrize("kind", ["th", "safetensors", "release"])
def test_converting_keeps_half_precision(tmp_path, kind):
    half = {name: one.half() for name, one in build_model(SPEC).state_dict().items()}
    path = save_published(tmp_path, "it", SPEC, half, {})
    out, back = tmp_path / "out", tmp_path / "back"
    assert main(["it", "--repo", str(tmp_path), "--to", kind, "--out", str(out)]) == 0
    ReleaseFolder(out).load("it")
    assert main(["it", "--repo", str(out), "--to", "th", "--out", str(back)]) == 0
    (found,) = back.iterdir()
    state = unpickle(found)["state"]
    assert {one.dtype for one in state.values()} == {torch.float16}
    assert all(torch.equal(one, half[name]) for name, one in state.items())
    assert kind == "release" or found.name == path.name
