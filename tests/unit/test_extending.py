"""The examples of docs/extending.md as they stand there, and what is said of mistakes in such."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch
from docs_support import ROOT, blocks
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from training_support import plain_config

from demucs import plugins
from demucs.data import find_tracks
from demucs.data.readers import LAYOUTS
from demucs.errors import ConfigError, ReleaseError
from demucs.nn import MODELS, ModelSpec, build_model, register_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.package import load_release
from demucs.training import read_config
from demucs.training.losses import LOSSES, register_loss, stem_losses

EXTENDING = ROOT / "docs" / "extending.md"


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's Python blocks as one module, which $DEMUCS_PLUGINS names."""
    folder = tmp_path_factory.mktemp("plugins")
    code = "\n\n".join(
        text for title, text in blocks(EXTENDING, "python") if "my_separation" in title
    )
    (folder / "my_separation.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("DEMUCS_PLUGINS", "my_separation")
        yield
    MODELS.pop("toy", None)
    LOSSES.pop("spectral", None)
    LAYOUTS.clear()
    plugins._loaded.discard("my_separation")
    sys.modules.pop("my_separation", None)


def test_the_model_is_built_from_its_configuration(extensions: None, tmp_path: Path) -> None:
    run = read_config(plain_config("model=toy", "model_args={channels: 16}", "dset.channels=1"))
    model = build_model(run.spec)
    assert model(torch.zeros(3, 1, 1000)).shape == (3, 4, 1, 1000)
    assert model.first.out_channels == 16
    info = ReleaseInfo(signature="toy1", spec=run.spec, config={}, provenance={}, licence="CC0")
    path = tmp_path / "toy1.safetensors"
    save_release(path, model.state_dict(), info)
    loaded, _ = load_release(path)
    wav = torch.randn(1, 1, 500)
    assert torch.equal(loaded(wav), model.eval()(wav))


def test_the_loss_is_the_mean_of_what_it_says(extensions: None) -> None:
    run = read_config(plain_config("model=hdemucs", "optim.loss=spectral"))
    references = torch.randn(2, 4, 2, 4000)
    losses = stem_losses(references * 0.5, references, run.options.optim.loss)
    assert losses.shape == (4,)
    window = torch.hann_window(512)
    spectra = torch.stft(references[:, 1].flatten(0, 1), 512, window=window, return_complex=True)
    assert float(losses[1]) == pytest.approx(0.5 * float(spectra.abs().mean()), rel=1e-4)


def test_the_layout_is_read_as_any_other(extensions: None, tmp_path: Path) -> None:
    noise = torch.rand(100, 2, dtype=torch.float64).sub(0.5).numpy()
    for song in ("a", "b"):
        for stem, gain in (("voice", 0.25), ("rest", -0.5)):
            folder = tmp_path / "train" / song / stem
            folder.mkdir(parents=True)
            soundfile.write(folder / "take 1.wav", gain * noise, 44100)
    tracks = find_tracks(tmp_path, "train", sources=["voice", "rest"])
    assert [len(tracks), tracks[0].frames] == [1, 100]  # the other one is for validation
    mixture, stems = tracks[0].load()
    assert torch.allclose(mixture, torch.from_numpy(-0.25 * noise.T).float(), atol=1e-4)
    assert stems.shape == (2, 2, 100)


def test_the_data_set_is_a_variant(tmp_path: Path) -> None:
    ((title, text),) = blocks(EXTENDING, "yaml")
    assert "conf/dset/choir.yaml" in title
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (conf / "dset" / "choir.yaml").write_text(text)
    with initialize_config_dir(str(conf), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", ["dset=choir"]), resolve=True)
    assert isinstance(plain, dict)
    run = read_config({str(key): value for key, value in plain.items()})
    assert run.options.dset.sources == ("soprano", "alto", "piano")
    assert run.options.dset.roots == ("/data/choir",)


def test_arguments_in_the_wrong_place_are_refused(extensions: None) -> None:
    with pytest.raises(ConfigError, match=r"set hdemucs\.KEY=VALUE instead"):
        read_config(plain_config("model=hdemucs", "model_args={channels: 16}"))
    with pytest.raises(ConfigError, match="must be keys and values"):
        read_config(plain_config("model=toy", "model_args=16"))
    with pytest.raises(ConfigError, match="model_args has sources"):
        read_config(plain_config("model=toy", "model_args={sources: [a]}"))
    with pytest.raises(ConfigError, match="has no argument depth"):
        build_model(read_config(plain_config("model=toy", "model_args={depth: 2}")).spec)


def test_what_a_plugin_does_wrong_is_said(
    extensions: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="'hdemucs' is taken"):
        register_model("hdemucs")(torch.nn.Linear)
    with pytest.raises(ConfigError, match="lacks sources, audio_channels, samplerate, segment"):
        register_model("linear")(torch.nn.Linear)
    with pytest.raises(ConfigError, match="'l1' is taken"):
        register_loss("l1")(lambda one, two: one)
    monkeypatch.setitem(LOSSES, "flat", lambda one, two: (one - two).mean())
    with pytest.raises(ConfigError, match=r"gave the shape \[\]: it must begin with batch and"):
        stem_losses(torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1, 8), "flat")
    monkeypatch.setenv("DEMUCS_PLUGINS", "no_such_module_here")
    with pytest.raises(ConfigError, match=r"no_such_module_here.*PYTHONPATH"):
        build_model(ModelSpec(name="nobody", kwargs={}))


def test_a_release_makes_nothing_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEMUCS_PLUGINS", raising=False)
    spec = ModelSpec(name="this:s", kwargs={})
    info = ReleaseInfo(signature="odd", spec=spec, config={}, provenance={}, licence="CC0")
    path = tmp_path / "odd.safetensors"
    save_release(path, {"w": torch.zeros(1)}, info)
    with pytest.raises((ConfigError, ReleaseError), match="DEMUCS_PLUGINS"):
        load_release(path)
    assert "this" not in sys.modules
