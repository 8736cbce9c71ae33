"""`conf/`: keys, defaults and signatures, which once given out never change."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from demucs.grids._group_run import group_run
from demucs.train import main as train
from demucs.training.config.public_datasets import VARIABLES

CONF = Path(__file__).resolve().parents[2] / "conf"

GROUP_RUN = [
    "epochs=390",
    "test.every=100",
    "batch_size=32",
    "model=hdemucs",
    "hdemucs.norm_starts=100",
    "hdemucs.cac=False",
    "hdemucs.hybrid_old=True",
    "hdemucs.dconv_lstm=4",
    "test.split=True",
    "valid_apply=True",
    "ema.epoch=[0.9,0.95]",
    "ema.batch=[0.9995,0.9999]",
    "seed=42",
    "svd=base",
    "svd.penalty=1e-05",
    "svd.dim=80",
    "svd.convtr=True",
    "optim.lr=0.0003",
]

HTDEMUCS_FT = ("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d")  # drums, bass, other, vocals

# The keys shared with the public Demucs, and their defaults.
PUBLIC: dict[str, Any] = {
    "dset": {
        "musdb_samplerate": 44100, "use_musdb": True, "wav": None, "wav2": None, "segment": 11,
        "shift": 1, "train_valid": False, "full_cv": True, "samplerate": 44100, "channels": 2,
        "normalize": True, "metadata": "./metadata",
        "sources": ["drums", "bass", "other", "vocals"], "valid_samples": None, "backend": None,
    },
    "test": {
        "save": False, "best": True, "workers": 2, "every": 20, "split": True, "shifts": 1,
        "overlap": 0.25, "sdr": True, "metric": "loss", "nonhq": None,
    },
    "epochs": 360,
    "batch_size": 64,
    "max_batches": None,
    "optim": {
        "lr": 3e-4, "momentum": 0.9, "beta2": 0.999, "loss": "l1", "optim": "adam",
        "weight_decay": 0, "clip_grad": 0,
    },
    "seed": 42,
    "debug": False,
    "valid_apply": True,
    "flag": None,
    "save_every": None,
    "weights": [1.0, 1.0, 1.0, 1.0],
    "augment": {
        "shift_same": False, "repitch": {"proba": 0.2, "max_tempo": 12},
        "remix": {"proba": 1, "group_size": 4}, "scale": {"proba": 1, "min": 0.25, "max": 1.25},
        "flip": True,
    },
    "continue_from": None,
    "continue_pretrained": None,
    "pretrained_repo": None,
    "continue_best": True,
    "continue_opt": False,
    "misc": {"num_workers": 10, "num_prints": 4, "show": False, "verbose": False},
    "ema": {"epoch": [], "batch": []},
    "use_train_segment": True,
    "model_segment": None,
    "model": "demucs",
    "demucs": {
        "channels": 64, "growth": 2, "depth": 6, "rewrite": True, "lstm_layers": 0,
        "kernel_size": 8, "stride": 4, "context": 1, "gelu": True, "glu": True, "norm_groups": 4,
        "norm_starts": 4, "dconv_depth": 2, "dconv_mode": 1, "dconv_comp": 4, "dconv_attn": 4,
        "dconv_lstm": 4, "dconv_init": 1e-4, "resample": True, "normalize": False, "rescale": 0.1,
    },
    "hdemucs": {
        "channels": 48, "channels_time": None, "growth": 2, "nfft": 4096, "wiener_iters": 0,
        "end_iters": 0, "wiener_residual": False, "cac": True, "depth": 6, "rewrite": True,
        "hybrid": True, "hybrid_old": False, "multi_freqs": [], "multi_freqs_depth": 3,
        "freq_emb": 0.2, "emb_scale": 10, "emb_smooth": True, "kernel_size": 8, "stride": 4,
        "time_stride": 2, "context": 1, "context_enc": 0, "norm_starts": 4, "norm_groups": 4,
        "dconv_mode": 1, "dconv_depth": 2, "dconv_comp": 4, "dconv_attn": 4, "dconv_lstm": 4,
        "dconv_init": 1e-3, "rescale": 0.1,
    },
    "torch_hdemucs": {
        "channels": 48, "growth": 2, "nfft": 4096, "depth": 6, "freq_emb": 0.2, "emb_scale": 10,
        "emb_smooth": True, "kernel_size": 8, "stride": 4, "time_stride": 2, "context": 1,
        "context_enc": 0, "norm_starts": 4, "norm_groups": 4, "dconv_depth": 2, "dconv_comp": 4,
        "dconv_attn": 4, "dconv_lstm": 4, "dconv_init": 1e-3,
    },
    "svd": {
        "penalty": 0, "min_size": 0.1, "dim": 1, "niters": 2, "powm": False, "proba": 1,
        "conv_only": False, "convtr": False, "bs": 1,
    },
    "quant": {"diffq": None, "qat": None, "min_size": 0.2, "group_size": 8},
}  # fmt: skip


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def flat(block: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in block.items():
        found.update(
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return found


def signature(*overrides: str) -> str:
    return str(train.get_xp(list(overrides)).sig)


def test_the_groups_run_keeps_its_signature() -> None:
    assert signature(*GROUP_RUN) == "aa9b63ad"


def test_a_run_without_pseudo_labels_keeps_its_signature() -> None:
    demo = ["dset=demo", "variant=demo"]
    assert signature(*demo) == "c4a125af"
    plain = signature(*demo, "semi=plain", "semi.folder=FOLDER")
    assert plain != "c4a125af"
    assert signature(*demo, "semi=plain", "semi.folder=OTHER") != plain  # other labels
    assert signature(*demo, "semi=plain", "semi.folder=FOLDER", "semi.teacher_repo=R") == plain


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "semi").iterdir()))
def test_every_semi_variant_composes_without_new_keys(name: str) -> None:
    found = composed("dset=distilled", f"semi={name}", "semi.folder=FOLDER")
    assert flat(found).keys() == flat(composed()).keys()
    assert found["semi"]["folder"] == "FOLDER"


def test_the_script_trains_the_groups_run() -> None:
    assert group_run() == GROUP_RUN


def test_public_keys_and_defaults_are_here() -> None:
    public = flat(PUBLIC)
    found = flat(composed())
    assert {key: found.get(key, "absent") for key in public} == public
    assert all(
        type(found[key]) is type(value) or value == found[key] for key, value in public.items()
    )


def test_what_has_no_influence_is_no_part_of_the_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = signature("epochs=2")
    free = ["misc.num_workers=0", "flag=x", "dset.musdb=/elsewhere", "dset.metadata=/m"]
    assert signature("epochs=2", *free) == plain
    assert signature("epochs=3") != plain
    monkeypatch.setenv("DEMUCS_MUSDB", "/somewhere")
    assert signature("epochs=2") == plain
    assert composed()["dset"]["musdb"] == "/somewhere"


@pytest.mark.parametrize("dset", sorted(path.stem for path in (CONF / "dset").iterdir()))
@pytest.mark.parametrize("variant", sorted(path.stem for path in (CONF / "variant").iterdir()))
def test_every_variant_composes_without_new_keys(dset: str, variant: str) -> None:
    found = composed(f"dset={dset}", f"variant={variant}")
    new = {"dset.wav2_weight", "dset.wav2_valid"} if dset == "extra_mmi_goodclean" else set()
    assert flat(found).keys() == flat(composed()).keys() | new


# Overrides of the public Demucs' grids `repro`, `repro_ft`, `mmi` and `mmi_ft`, and the signatures
# of the models that its authors published from them.
AVERAGED = ["ema.epoch=[0.9,0.95]", "ema.batch=[0.9995,0.9999]"]
REPRO = [*AVERAGED, "epochs=600", "svd=base2", "svd.penalty=1e-05"]
TUNED = [
    *AVERAGED, "test.every=1", "test.sdr=True", "epochs=4", "dset.segment=28", "dset.shift=2",
    "dset=auto_mus", "augment.remix.proba=0", "augment.scale.proba=0", "augment.shift_same=True",
    "batch_size=16", "optim.lr=0.0001", "model_segment=44",
]  # fmt: skip
MMI = [
    "dset=extra_mmi_goodclean", "test.shifts=0", "htdemucs.dconv_mode=3", "htdemucs.t_dropout=0.02",
    "max_batches=800", *AVERAGED, "dset.segment=10", "batch_size=32",
]  # fmt: skip
HTDEMUCS = [*MMI, "model=htdemucs", "htdemucs.bottom_channels=512"]
MMI_TUNED = [
    "optim.lr=0.0001", "augment.remix.proba=0", "augment.scale.proba=0", "augment.shift_same=True",
    "htdemucs.t_weight_decay=0.05", "batch_size=8", "optim.clip_grad=5", "optim.optim=adamw",
    "epochs=50", "dset.wav2_valid=True", "ema.epoch=[]", 'continue_from="955717e8"',
]  # fmt: skip
PUBLISHED = {
    "9a6b4851": [*REPRO, "model=demucs", "demucs.normalize=True", "continue_from=a70ec075", *TUNED],
    "1ef250f1": [*REPRO, "model=demucs", "demucs.normalize=True", "seed=43",
                 "continue_from=c9cefc23", *TUNED],
    "fa0cb7f9": [*REPRO, "model=hdemucs", 'continue_from="f3f30555"', *TUNED],
    "902315c2": [*REPRO, "model=hdemucs", "seed=43", "continue_from=b3293021", *TUNED],
    "75fc33f5": [*MMI, "model=hdemucs"],
    "955717e8": HTDEMUCS,
}  # fmt: skip


@pytest.mark.parametrize("expected", PUBLISHED)
def test_models_that_were_published_keep_their_signatures(
    expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, "/somewhere/else")
    assert signature(*PUBLISHED[expected]) == expected


@pytest.mark.parametrize(("stem", "expected"), list(enumerate(HTDEMUCS_FT)))
def test_the_four_of_htdemucs_ft_keep_their_signatures(stem: int, expected: str) -> None:
    weights = [0, 0, 0, 0]
    weights[stem] = 1
    found = {
        signature(*HTDEMUCS, *MMI_TUNED, f"weights={weights}", f"dset.segment={seconds}")
        for seconds in (10, 15)
    }
    assert expected in found


def test_every_key_is_explained() -> None:
    """Blocks of other models aside, each declared key has a comment on its line or above."""
    lines = (CONF / "config.yaml").read_text().splitlines()
    for key in ("segment:", "valid_samples:", "metric:", "clip_grad:", "convtr:", "end_iters:"):
        line = next(line for line in lines if line.strip().startswith(key))
        assert "#" in line


@pytest.mark.parametrize(
    ("override", "word"), [("epocs=3", "epocs"), ("epochs", "KEY=VALUE"), ("svd=none", "none")]
)
def test_a_wrong_override_ends_with_one_line(
    override: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train.get_xp([override])
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert word in line
