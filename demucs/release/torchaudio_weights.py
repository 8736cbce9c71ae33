"""torchaudio's published HDemucs weights as a network of ours; torchaudio is not needed for it.

`torchaudio.pipelines.HDEMUCS_HIGH_MUSDB_PLUS` and `HDEMUCS_HIGH_MUSDB` are plain state dicts,
`hdemucs_high_trained.pt` and `hdemucs_high_musdbhq_only.pt`, of `torchaudio.models.hdemucs_high`.
That is our HDemucs by its defaults; its parts have other names, and it has a norm that is not used.
A state dict does not say what it is of: it is known by its names and shapes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from demucs.nn import ModelSpec, build_empty

# Their names there, and here.
BRANCHES = {
    "freq_encoder": "encoder",
    "freq_decoder": "decoder",
    "time_encoder": "tencoder",
    "time_decoder": "tdecoder",
    "freq_emb": "freq_emb",
}
# `hdemucs_high` with the stems and the sample rate of the two pipelines. They have no segment: that
# of the public Demucs' own bags of such models.
HDEMUCS_HIGH = ModelSpec(
    name="hdemucs",
    kwargs={
        "sources": ["drums", "bass", "other", "vocals"],
        "audio_channels": 2,
        "channels": 48,
        "growth": 2,
        "nfft": 4096,
        "depth": 6,
        "freq_emb": 0.2,
        "emb_scale": 10,
        "emb_smooth": True,
        "kernel_size": 8,
        "stride": 4,
        "time_stride": 2,
        "context": 1,
        "context_enc": 0,
        "norm_starts": 4,
        "norm_groups": 4,
        "dconv_depth": 2,
        "dconv_comp": 4,
        "dconv_attn": 4,
        "dconv_lstm": 4,
        "dconv_init": 1e-4,
        "samplerate": 44100,
        "segment": 44,
    },
)
SHOWN = 3  # names in a message


def load_hdemucs_high(state: Any) -> nn.Module:
    """The network of a state dict of `torchaudio.models.hdemucs_high`.

    Raises:
        ValueError: it is of something else; says which names it lacks, which it has beyond them,
            and which have another shape, by their names there.
    """
    return load_torchaudio(state, HDEMUCS_HIGH)


def load_torchaudio(state: Any, spec: ModelSpec) -> nn.Module:
    """The HDemucs of `spec`, with the weights that torchaudio's class has in `state`.

    Raises:
        ValueError: they do not fit.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds a {type(state).__name__}, not tensors by name")
    model = build_empty(spec)
    present = model.state_dict()
    unused = f"time_encoder.{len(model.tencoder) - 1}.norm1."  # type: ignore[arg-type]
    used = {name: tensor for name, tensor in state.items() if not str(name).startswith(unused)}
    _check(used, {_name_there(name): tensor for name, tensor in present.items()})
    weights = {name: state[_name_there(name)].to(present[name].dtype) for name in present}
    model.load_state_dict(weights, assign=True)
    return model


def _name_there(name: str) -> str:
    branch, dot, rest = name.partition(".")
    names = {here: there for there, here in BRANCHES.items()}
    return f"{names[branch]}{dot}{rest}"


def _check(state: Mapping[Any, Any], expected: Mapping[str, Tensor]) -> None:
    shared = [name for name in expected if name in state]
    faults = {
        "without": [name for name in expected if name not in state],
        "with": [str(name) for name in state if name not in expected],
        "of another kind or shape:": [
            f"{name} {_told(state[name])} instead of {_told(expected[name])}"
            for name in shared
            if _told(state[name]) != _told(expected[name])
        ],
    }
    differences = [f"{kind} {_listed(names)}" for kind, names in faults.items() if names]
    if differences:
        raise ValueError(
            f"it is not a state dict of torchaudio.models.hdemucs_high with 4 stems: "
            f"{'; '.join(differences)}"
        )


def _told(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return str(list(value.shape)) if value.is_floating_point() else str(value.dtype)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
