"""Models by name, and what one is told when there is none."""

import pytest
import torch

from demucs.errors import ModelNotFoundError
from demucs.nn import ModelSpec, build_model
from demucs.pretrained import get_model
from demucs.release import ReleaseInfo, save_release

SPEC = ModelSpec(
    name="hdemucs", kwargs={"sources": ["low", "high"], "channels": 4, "nfft": 256, "depth": 4}
)


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "release_models"
    info = ReleaseInfo(signature="53288a8c", spec=SPEC, config={}, provenance={})
    save_release(folder / "53288a8c.safetensors", build_model(SPEC).state_dict(), info)
    return folder


def test_model_carries_its_release(repo):
    model = get_model("53288a8c", repo)
    assert model.release.signature == "53288a8c"
    assert model.sources == ["low", "high"]
    assert model(torch.zeros(1, 2, 100)).shape == (1, 2, 2, 100)


def test_default_folder_is_release_models_here(repo, monkeypatch):
    monkeypatch.chdir(repo.parent)
    assert get_model("53288a8c").release.spec == SPEC


def test_unknown_name_says_where_what_and_how(repo):
    with pytest.raises(ModelNotFoundError) as caught:
        get_model("53288a8d", repo)
    message = str(caught.value)
    assert str(repo) in message
    assert "Did you mean 53288a8c?" in message
    assert f"python3 -m tools.export 53288a8d --out {repo}" in message


def test_a_name_like_no_other_is_given_the_list(repo):
    with pytest.raises(ModelNotFoundError, match=r"Models in .*: 53288a8c") as caught:
        get_model("zzz", repo)
    assert "Did you mean" not in str(caught.value)


def test_missing_and_empty_folders_are_said(tmp_path):
    with pytest.raises(ModelNotFoundError, match="nowhere does not exist"):
        get_model("53288a8c", tmp_path / "nowhere")
    with pytest.raises(ModelNotFoundError, match="There are no models in it"):
        get_model("53288a8c", tmp_path)


def test_no_way_out_of_the_folder(repo):
    with pytest.raises(ModelNotFoundError, match="is not the name of a model"):
        get_model("../release_models/53288a8c", repo)
