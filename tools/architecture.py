"""Writes the layers of a network and their output shapes as JSON, for a figure.

    python3 -m tools.architecture --out docs/architecture.json
    python3 -m tools.architecture --channels 16 cac=false hybrid_old=true norm_starts=100
    python3 -m tools.architecture model=htdemucs --seconds 7.8
    python3 -m tools.architecture --release 53288a8c --repo ./release_models

The network is built from the defaults of its class and KEY=VALUE (`hdemucs.KEY=VALUE` of a training
command is the same), or from the specification of a release. It runs once on
a mixture without content ("meta" tensors: shapes and no numbers), so it needs no weights and no
time. Then `python3 graphing_scripts/architecture.py FILE` draws it.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from demucs.errors import ConfigError
from demucs.files import atomic_path
from demucs.nn import MODELS, Demucs, HDemucs, ModelSpec, build_empty
from demucs.nn.dconv import BLSTM, DConv, LocalState
from demucs.nn.norms import GroupNorm
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release import DEFAULT_FOLDER, ReleaseFolder, read_release_info

FORMAT = "demucs-architecture-1"
SOURCES = ["drums", "bass", "other", "vocals"]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


@reports_errors(code=2)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    signature, spec = chosen(options)
    text = as_text(describe(spec, options.seconds, signature))
    if options.out is None:
        print(text, end="")
    else:
        with atomic_path(options.out) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")
        print(options.out)
    return 0


def parser() -> argparse.ArgumentParser:
    command = make_parser("tools.architecture", __doc__)
    command.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="arguments of the network"
    )
    command.add_argument("--channels", type=int, help="the same as channels=N")
    command.add_argument("--release", metavar="NAME", help="the network of a release")
    command.add_argument(
        "--repo", type=Path, default=Path(DEFAULT_FOLDER), help="where releases are"
    )
    command.add_argument("--seconds", type=float, default=10, help="length of the mixture (10)")
    command.add_argument("--out", type=Path, help="the file to write; otherwise it is printed")
    return command


def as_text(described: dict[str, Any]) -> str:
    """JSON with each shape on one line."""
    text = json.dumps(described, indent=1)
    return (
        re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"
    )


def chosen(options: argparse.Namespace) -> tuple[str | None, ModelSpec]:
    """The signature, if it is of a release, and the network that was asked for."""
    given = list(options.overrides)
    if options.channels is not None:
        given.append(f"channels={options.channels}")
    if options.release is None:
        return None, spec_of(given)
    if given:
        raise ConfigError(f"--release says what the network is: leave {' '.join(given)} out")
    path = ReleaseFolder(options.repo).path(options.release)
    info = read_release_info(path)
    return info.signature, info.spec


def spec_of(overrides: Sequence[str]) -> ModelSpec:
    """A network from `model=NAME` and KEY=VALUE."""
    pairs = []
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise ConfigError(f"{override!r} is not KEY=VALUE, such as channels=16")
        try:
            pairs.append((key, yaml.safe_load(text)))
        except yaml.YAMLError:
            raise ConfigError(
                f"the value of {override!r} cannot be read: write it as in YAML"
            ) from None
    name = str(dict(pairs).get("model", "hdemucs"))
    values = {key.removeprefix(f"{name}."): value for key, value in pairs if key != "model"}
    return ModelSpec(name=name, kwargs={"sources": SOURCES, **values})


def describe(spec: ModelSpec, seconds: float, signature: str | None = None) -> dict[str, Any]:
    """The network as plain JSON; see the keys at the end of this function.

    Args:
        seconds: length of the mixture.
        signature: of the release, if it is one.

    Raises:
        ConfigError: a network that this cannot describe, or arguments that do not go together.
    """
    if spec.name in MODELS and not issubclass(MODELS[spec.name], Demucs | HDemucs):
        raise ConfigError(
            f"model={spec.name} is another package's network: there is a picture of demucs, "
            "hdemucs and htdemucs (hdemucs computes the same as torch_hdemucs)"
        )
    model = build_empty(spec).eval()
    assert isinstance(model, Demucs | HDemucs)
    samples = round(seconds * model.samplerate)
    if samples < 1:
        raise ConfigError(f"--seconds {seconds:g} is not a length: give more than 0")
    mixture = torch.empty(1, model.audio_channels, samples, device="meta")
    layers = {layer["name"]: layer for layer in _plain_layers(model)}
    parts = {name: model.get_submodule(name) for name in [*layers, *_middle_names(model)]}
    runs: dict[str, tuple[list[list[int]], list[list[int]]]] = {}

    def remember(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            given, outputs = inputs, output if isinstance(output, tuple) else (output,)
            runs[name] = (_shapes(given), _shapes(outputs))

        return hook

    for name, part in parts.items():
        part.register_forward_hook(remember(name))
    _without_recurrence(model)
    spectrum = _without_transforms(model, mixture)
    stems = model(mixture)
    for name, layer in layers.items():
        inputs, outputs = runs[name]
        layer["input"], layer["output"] = inputs[0], outputs[0]
    described = list(layers.values())
    return {
        "format": FORMAT,
        "model": spec.name,
        "signature": signature,
        "arguments": _arguments(spec),
        "sources": model.sources,
        "samplerate": model.samplerate,
        "seconds": samples / model.samplerate,
        "mixture": list(mixture.shape[1:]),
        "stems": list(stems.shape[1:]),
        "spectrogram": spectrum,  # None in time-domain networks
        "layers": described,  # in the order in which they run, branch by branch
        "meeting": _meeting(described, runs),
        "middle": _middle(model, runs, _arguments(spec)),
        "parameters": _parameters(model, described),
    }


def _shapes(values: Sequence[Any]) -> list[list[int]]:
    return [list(value.shape[1:]) for value in values if isinstance(value, Tensor)]


def _without_recurrence(model: nn.Module) -> None:
    """LSTMs give their known shape; on the meta device each step takes as long as a layer."""

    def known(lstm: nn.LSTM) -> Any:
        wide = lstm.hidden_size * (2 if lstm.bidirectional else 1)
        return lambda x: (x.new_empty(*x.shape[:-1], wide), None)

    for part in model.modules():
        if isinstance(part, nn.LSTM):
            part.forward = known(part)  # type: ignore[method-assign]


def _without_transforms(model: nn.Module, mixture: Tensor) -> dict[str, Any] | None:
    """Shapes on the way in; the way out, which the meta device lacks, is given its known shape."""
    if not isinstance(model, HDemucs):
        return None

    def stems(spectrum: Tensor, output: Tensor) -> Tensor:
        return spectrum[:, None].expand(-1, len(model.sources), -1, -1, -1)

    def waveform(spectrum: Tensor, length: int) -> Tensor:
        return spectrum.real.new_empty(*spectrum.shape[:-2], length)

    for name, function in (("complex_stems", stems), ("waveform", waveform)):
        setattr(model, name, function)
    spectrum = model.spectrogram(mixture)
    return {
        "nfft": model.nfft,
        "hop": model.nfft // 4,
        "complex": list(spectrum.shape[1:]),
        "features": list(model.features(spectrum).shape[1:]),
        "complex_as_channels": model.cac,
    }


def _plain_layers(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Every layer with what can be said without running it."""
    if isinstance(model, Demucs):
        branches = {"time": ("encoder", "decoder")}
    else:
        branches = {"frequency": ("encoder", "decoder")}
        if model.hybrid:
            branches["time"] = ("tencoder", "tdecoder")
    for branch, lists in branches.items():
        for kind, name in zip(("encoder", "decoder"), lists, strict=True):
            stack = model.get_submodule(name)
            assert isinstance(stack, nn.ModuleList)
            for index, layer in enumerate(stack):
                level = index if kind == "encoder" else len(stack) - 1 - index
                shape = getattr(layer, "shape", None)
                merges = bool(shape and (shape.merges or not shape.frequency))
                shared = branch == "frequency" and merges
                yield {
                    "name": f"{name}.{index}",
                    "kind": kind,
                    "branch": "shared" if shared else branch,
                    "level": level,
                    "only_convolution": bool(getattr(layer, "empty", False)),
                    **_contents(layer, kind),
                }


def _contents(layer: nn.Module, kind: str) -> dict[str, Any]:
    """Kernel, stride and what else there is in a layer (of bands: in that of the first)."""
    inside = getattr(layer, "layers", None)
    bands: list[nn.Module] = list(inside) if isinstance(inside, nn.ModuleList) else [layer]
    first = bands[0]
    residual = {id(part) for dconv in first.modules() if isinstance(dconv, DConv)
                for part in dconv.modules()}  # fmt: skip
    outside: list[Any] = [part for part in first.modules() if id(part) not in residual]
    strided = TRANSPOSED if kind == "decoder" else CONVOLUTIONS
    main = next(part for part in outside if isinstance(part, strided))
    further = [part for part in outside if isinstance(part, CONVOLUTIONS) and part is not main]
    return {
        "kernel": list(main.kernel_size),
        "stride": list(main.stride),
        "rewrite": list(further[0].kernel_size) if further else None,  # the GLU's convolution
        "dconv": bool(residual),
        "lstm": any(isinstance(part, BLSTM) for part in first.modules()),
        "attention": any(isinstance(part, LocalState) for part in first.modules()),
        "norm": any(isinstance(part, GroupNorm) for part in outside),
        "bands": len(bands),
        "parameters": sum(weight.numel() for weight in layer.parameters()),
    }


def _meeting(
    layers: list[dict[str, Any]], runs: dict[str, tuple[list[list[int]], list[list[int]]]]
) -> dict[str, Any] | None:
    """The layers at which the time branch joins the frequency branch, and leaves it again."""
    ends = [layer for layer in layers if layer["branch"] == "time" and layer["only_convolution"]]
    if not ends:
        return None
    level = ends[0]["level"]
    inside = {layer["kind"]: layer["name"] for layer in layers
              if layer["branch"] == "shared" and layer["level"] == level}  # fmt: skip
    outside = {layer["kind"]: layer["name"] for layer in ends}
    # A decoder layer gives its output, and what enters its transposed convolution.
    return {
        "from": outside["encoder"],
        "into": inside["encoder"],
        "added": runs[outside["encoder"]][1][0],
        "out_of": inside["decoder"],
        "back_to": outside["decoder"],
        "given_back": runs[inside["decoder"]][1][1],
    }


def _middle_names(model: nn.Module) -> list[str]:
    names = ("crosstransformer", "lstm")
    return [name for name in names if isinstance(getattr(model, name, None), nn.Module)]


def _middle(model: nn.Module, runs: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """The layer between encoders and decoders; None without one."""
    for name in _middle_names(model):
        part = model.get_submodule(name)
        middle = {"name": name, "inputs": runs[name][0], "outputs": runs[name][1],
                 "parameters": sum(weight.numel() for weight in part.parameters())}  # fmt: skip
        if name == "lstm":
            return {**middle, "layers": arguments["lstm_layers"]}
        return {**middle, "layers": arguments["t_layers"], "heads": arguments["t_heads"]}
    return None


def _arguments(spec: ModelSpec) -> dict[str, Any]:
    """All arguments of the network, given or by default."""
    parameters = inspect.signature(MODELS[spec.name].__init__).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }
    return {**defaults, **spec.kwargs}


def _parameters(model: nn.Module, layers: list[dict[str, Any]]) -> dict[str, int]:
    total = sum(weight.numel() for weight in model.parameters())
    by_branch = {branch: sum(layer["parameters"] for layer in layers if layer["branch"] == branch)
             for branch in ("frequency", "time", "shared")}  # fmt: skip
    return {"total": total, **by_branch, "other": total - sum(by_branch.values())}


if __name__ == "__main__":
    run_command(main)
