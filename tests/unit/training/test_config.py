"""The configuration at the edge: what is read, and how what cannot work is refused."""

from pathlib import Path
from typing import Any

import pytest
from training_support import plain_config, tiny_config

from demucs.errors import ConfigError
from demucs.nn import build_model
from demucs.training import read_config
from demucs.training.optim.optimizer import parameter_groups
from demucs.training.run_config import read_section
from demucs.training.start import differences


def test_the_groups_run_is_read(tmp_path: Path) -> None:
    run = read_config(
        plain_config(
            "model=hdemucs", "hdemucs.cac=False", "ema.epoch=[0.9,0.95]", "svd=base", "svd.dim=80"
        )
    )
    assert run.spec.name == "hdemucs"
    assert run.spec.kwargs["cac"] is False
    assert run.spec.kwargs["sources"] == ["drums", "bass", "other", "vocals"]
    assert run.spec.kwargs["segment"] == 44.0
    assert (run.spec.kwargs["audio_channels"], run.spec.kwargs["samplerate"]) == (2, 44100)
    assert run.options.ema.epoch == (0.9, 0.95)
    assert (run.options.svd.dim, run.options.optim.beta2) == (80, 0.9998)
    assert (run.augment.remix_group, run.augment.scale_min) == (4, 0.25)


def test_the_model_can_have_a_segment_of_its_own() -> None:
    run = read_config(plain_config("model=hdemucs", "model_segment=7.8"))
    assert run.spec.kwargs["segment"] == 7.8


@pytest.mark.parametrize(
    ("overrides", "segment"),
    [
        (["model=demucs"], 44.0),
        (["model=hdemucs"], 44.0),
        (["model=htdemucs"], 11.0),
        (["model=htdemucs", "use_train_segment=false"], 44.0),
        (["model=htdemucs", "dset.segment=7.8"], 7.8),
    ],
)
def test_every_model_is_built_from_its_block(overrides: list[str], segment: float) -> None:
    run = read_config(plain_config(*overrides))
    assert run.spec.kwargs["segment"] == segment
    model = build_model(run.spec)
    assert model.sources == ["drums", "bass", "other", "vocals"]
    assert sum(one.numel() for one in model.parameters()) > 1e7


def test_the_transformer_has_a_rate_of_its_own() -> None:
    spec = read_config(
        plain_config("model=htdemucs", "htdemucs.t_lr=1e-5", "htdemucs.t_weight_decay=0.1")
    ).spec
    model = build_model(spec)
    groups = parameter_groups(model)
    assert [{k: v for k, v in one.items() if k != "params"} for one in groups] == [
        {}, {"lr": 1e-5, "weight_decay": 0.1},
    ]  # fmt: skip
    count = sum(one.numel() for group in groups for one in group["params"])
    assert count == sum(one.numel() for one in model.parameters())
    assert len(parameter_groups(build_model(read_config(plain_config("model=hdemucs")).spec))) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=unet"], "model=unet is unknown.*hdemucs"),
        (["model_segment=-1"], "model_segment=-1"),
        (["weights=[1,1]"], "2 numbers for 4 stems.*drums, bass, other, vocals"),
        (["weights=[0,0,0,0]"], "nor all 0"),
        (["weights=[vocals:loud]"], "'vocals:loud'.*STEM:NUMBER"),
        (["weights=[vocals:2,1]"], "'?1'?: give a number for each"),
        (["epochs=0"], "epochs=0"),
        (["epochs=many"], "epochs='many'.*int"),
        (["epochs=true"], "epochs=True.*int"),
        (["batch_size=0"], "batch_size=0"),
        (["seed=-1"], "seed=-1"),
        (["max_batches=0"], "max_batches=0"),
        (["save_every=0"], "save_every=0"),
        (["optim.loss=l3"], "optim.loss=l3.*l1, mse"),
        (["optim.optim=sgd"], "optim.optim=sgd.*adam, adamw"),
        (["optim.lr=0"], "optim.lr=0"),
        (["optim.beta2=1"], "optim.beta2=1"),
        (["optim.momentum=-0.1"], "optim.momentum"),
        (["optim.weight_decay=-1"], "weight_decay"),
        (["optim.clip_grad=-1"], "clip_grad"),
        (["dset.segment=1", "dset.shift=1"], "longer than the shift"),
        (["dset.sources=[]"], "dset.sources is empty"),
        (["dset.sources=drums"], "must be a list"),
        (["dset.sources=[a,b,a,c]"], "twice"),
        (["dset.channels=6"], "dset.channels=6"),
        (["dset.samplerate=0", "dset.musdb_samplerate=0"], "samplerate=0"),
        (["dset.samplerate=16000"], "musdb_samplerate=44100"),
        (["dset.use_musdb=false"], "no dataset"),
        (["dset.valid_samples=0"], "valid_samples=0"),
        (["test.metric=sar"], "test.metric=sar.*nsdr_vocals.*sdr_med_vocals"),
        (["test.every=-1"], "test.every=-1"),
        (["test.overlap=1"], "test.overlap=1"),
        (["test.shifts=-1"], "test.shifts=-1"),
        (["test.workers=-1"], "test.workers=-1"),
        (["test.nonhq=/mp4"], "test.nonhq=/mp4"),
        (["ema.batch=[1]"], "decay 1"),
        (["svd.penalty=-1"], "svd.penalty"),
        (["svd.dim=0"], "svd.dim=0"),
        (["svd.niters=0"], "svd.niters=0"),
        (["svd.proba=0"], "svd.proba=0"),
        (["svd.min_size=-1"], "svd.min_size"),
        (["svd.bs=0"], "svd.bs=0"),
        (["misc.num_workers=-1"], "num_workers=-1"),
        (["augment.remix.proba=2"], "augment.remix.proba=2"),
        (["augment.remix.group_size=two"], "augment.remix.group_size='two'.*int"),
        (["continue_opt=true"], "continue_from=SIG"),
        (["continue_from=a", "continue_pretrained=b"], "keep one"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(plain_config("model=hdemucs", *overrides))


def test_a_missing_or_flattened_block_is_named(tmp_path: Path) -> None:
    plain = tiny_config(tmp_path)
    del plain["svd"]["niters"]
    with pytest.raises(ConfigError, match=r"no key svd\.niters"):
        read_config(plain)
    with pytest.raises(ConfigError, match=r"svd=3 is one value"):
        read_config({**plain, "svd": 3})


def test_numbers_of_either_kind_are_floats() -> None:
    from demucs.training.config.schema import EmaConfig

    section = read_section(EmaConfig, {"epoch": [0], "batch": [0.5], "unknown": "left alone"})
    assert section == EmaConfig(epoch=(0.0,), batch=(0.5,))


def test_differences_name_keys_and_both_values() -> None:
    old: dict[str, Any] = {"a": {"b": 1, "c": 2}, "misc": {"x": 1}, "gone": None}
    new: dict[str, Any] = {"a": {"b": 1, "c": 3}, "misc": {"x": 2}, "here": 4}
    assert differences(old, new) == "a.c: 2 → 3, gone: None → (absent), here: (absent) → 4"
    assert differences(old, old) == ""


def test_weights_go_by_name_too() -> None:
    run = read_config(plain_config("model=hdemucs", "weights=[vocals:2,bass:0]"))
    assert run.options.weights == (1.0, 0.0, 1.0, 2.0)
    three = ("dset.sources=[beat,voice,rest]", "weights=[voice:0.5]")
    assert read_config(plain_config("model=hdemucs", *three)).options.weights == (1.0, 0.5, 1.0)


def test_weights_of_a_stem_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"weights names piano, .* are drums, bass"):
        read_config(plain_config("model=hdemucs", "weights=[piano:2]"))
