"""`model=torch_hdemucs` where torchaudio cannot be imported; `tests/torchaudio` has the rest."""

import sys

import pytest
from training_support import plain_config, tiny_config, write_songs

from demucs.errors import ConfigError, MissingToolError
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, load_release, save_release
from demucs.training import check_config, check_start, read_config
from demucs.training.run_config import model_spec

REMEDY = r"CPU-only.*pip install torch==\S+ torchaudio==\S+.*model=hdemucs"
BROKEN = {
    "absent": "raise ModuleNotFoundError(\"No module named 'torchaudio'\")",
    "for another torch": "raise OSError('libtorch_cuda.so: cannot open shared object file')",
    "of another CUDA": "raise RuntimeError('two CUDA versions')",
    "older than the network": "",
}


@pytest.fixture(params=BROKEN)
def without_torchaudio(request, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "torchaudio"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text(BROKEN[request.param])
    (package / "models" / "__init__.py").write_text("")
    for name in [one for one in sys.modules if one.partition(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(package.parent))
    yield
    for name in [one for one in sys.modules if one.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]


def test_what_is_asked_of_it_says_what_to_do(without_torchaudio, tmp_path):
    spec = ModelSpec(name="torch_hdemucs", kwargs={"sources": ["a", "b"]})
    with pytest.raises(MissingToolError, match=REMEDY):
        build_model(spec)
    info = ReleaseInfo(signature="it", spec=spec, config={}, provenance={})
    weights = build_model(ModelSpec(name="demucs", kwargs={"sources": ["a"], "channels": 4}))
    save_release(tmp_path / "it.safetensors", weights.state_dict(), info)
    with pytest.raises(MissingToolError, match=REMEDY):
        load_release(tmp_path / "it.safetensors")


def test_a_run_is_refused_before_it_looks_at_songs(without_torchaudio, tmp_path):
    plain = plain_config("model=torch_hdemucs", "dset.musdb=/does/not/exist")
    with pytest.raises(MissingToolError, match=REMEDY):
        check_start(read_config(plain), tmp_path)
    with pytest.raises(MissingToolError, match=REMEDY):
        check_config(plain, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": []}, "at least one source"),
        ({"sources": ["a"], "depth": 4}, "too shallow"),
        ({"sources": ["a"], "nfft": 512}, "nfft=512 with stride=4"),
        ({"sources": ["a"], "nfft": 2048, "stride": 2, "kernel_size": 4}, "nfft=2048"),
        ({"sources": ["a"], "cac": False}, "has no argument cac"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        build_model(ModelSpec(name="torch_hdemucs", kwargs=arguments))


def test_it_is_described_by_its_block(tmp_path):
    plain = tiny_config(write_songs(tmp_path), "model=torch_hdemucs", "torch_hdemucs.channels=5")
    spec = model_spec(plain, read_config(plain).options.dset)
    assert (spec.name, spec.kwargs["channels"], spec.kwargs["segment"]) == ("torch_hdemucs", 5, 1)
    assert spec.kwargs["dconv_init"] == 1e-3
    default = read_config(plain_config("model=torch_hdemucs")).spec
    assert default.kwargs["segment"] == 44
