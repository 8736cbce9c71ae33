"""Models as ONNX files, which onnxruntime and others run without Python or PyTorch.

The graph is traced by PyTorch's TorchScript exporter, whose graphs are small and keep LSTMs whole.
"""

import importlib
import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import demucs
from demucs.errors import ConfigError, MissingToolError, ReleaseError
from demucs.files import atomic_path
from demucs.nn.exportable import exportable, positions_from_zero
from demucs.release.info import ReleaseInfo

OPSET = 17
MIN_SNR = 80.0  # dB; rounding alone leaves more than 110
MAX_BYTES = 2**31 - 2**24  # of a file in one piece
NORMALISATION = (
    "mix: subtract the mean and divide by the standard deviation, plus 1e-8, of the whole track's "
    "mean over channels; stems: multiply and add the same"
)


def save_onnx(
    path: Path, model: nn.Module, info: ReleaseInfo, segment: float | None = None
) -> tuple[int, float]:
    """Writes a model as one ONNX file, atomically, after onnxruntime has given the same stems.

    Input `mix` `[B, C, T]` and output `stems` `[B, S, C, T]` are float32, with any B and the T of
    one segment. All else is in the metadata: see `metadata`.

    Args:
        path: the file to write.
        model: a network of ours, in evaluation mode; no bag.
        info: its description.
        segment: seconds of the input; None: as `demucs` cuts with this model.

    Returns:
        T, and the lowest signal-to-noise ratio of a stem against the model, dB.

    Raises:
        ConfigError: a segment that the model does not take, or a network that ONNX cannot hold.
        MissingToolError: packages that are not installed.
        ReleaseError: onnxruntime gives other stems.
        OSError: the folder cannot be written.
    """
    onnx, runtime = _package("onnx"), _package("onnxruntime")
    length = segment_length(model, segment)
    size = sum(item.numel() * item.element_size() for item in model.state_dict().values())
    if size > MAX_BYTES:
        raise ConfigError(f"{size / 1e9:.1f} GB of weights: an ONNX file holds at most 2 GB")
    with positions_from_zero(model), atomic_path(path) as temporary:
        _trace(temporary, model, length)
        graph = onnx.load(temporary)
        stems = graph.graph.output[0].type.tensor_type.shape.dim
        for dim, count in zip(list(stems)[1:], _shape(model, length), strict=True):
            dim.dim_value = count
        onnx.helper.set_model_props(graph, metadata(model, info, length))
        graph.producer_name, graph.producer_version = "demucs", demucs.__version__
        onnx.checker.check_model(graph)
        onnx.save(graph, temporary)
        del graph
        mix = probe(int(model.audio_channels), length, int(model.samplerate))  # type: ignore[arg-type]
        with torch.no_grad():
            expected = model(mix)
        session = open_session(runtime, temporary)
        output = torch.from_numpy(session.run(["stems"], {"mix": mix.numpy()})[0])
        ratio = lowest_snr(expected, output)
        if not ratio >= MIN_SNR:
            raise ReleaseError(
                f"{path} is not written: onnxruntime {runtime.__version__} gives stems that are "
                f"{ratio:.1f} dB from the model's, and {MIN_SNR:.0f} dB are wanted; try the "
                "versions of onnx, onnxruntime and torch in constraints.txt"
            )
    return length, ratio


def segment_length(model: Any, segment: float | None) -> int:
    """Samples of a segment, as the model wants them padded.

    Raises:
        ConfigError: no length, or one that a model that separates as it was trained does not take.
    """
    seconds = float(model.segment if segment is None else segment)
    length = int(seconds * model.samplerate) if 0 < seconds < math.inf else 0
    if length < 1:
        raise ConfigError(f"--segment {seconds:g}: give seconds, such as 10")
    if getattr(model, "use_train_segment", False) and length != model.training_length:
        if segment is not None:
            raise ConfigError(
                f"--segment {seconds:g}: this model separates in segments of "
                f"{float(model.segment):g} s, as it was trained; leave --segment out"
            )
        length = model.training_length
    return int(model.valid_length(length)) if hasattr(model, "valid_length") else length


def _shape(model: Any, length: int) -> tuple[int, int, int]:
    return len(model.sources), int(model.audio_channels), length


def metadata(model: Any, info: ReleaseInfo, length: int) -> dict[str, str]:
    """The metadata of the file, as text; lists are JSON."""
    return {
        "format": "demucs-onnx-1",
        "signature": info.signature,
        "network": info.spec.name,
        "stems": json.dumps(list(model.sources)),
        "samplerate": str(model.samplerate),
        "channels": str(model.audio_channels),
        "segment": repr(length / model.samplerate),
        "segment_samples": str(length),
        "normalisation": NORMALISATION,
        "licence": info.licence,
    }


def probe(channels: int, length: int, samplerate: int) -> Tensor:
    """A mixture `[1, C, length]` of noise and tones, the same each time, of deviation about 1."""
    noise = torch.randn(1, channels, length, generator=torch.Generator().manual_seed(0))
    time = torch.arange(length).double() / samplerate
    tones = sum(
        (2 * math.pi * pitch * time + channel).sin()
        for pitch in (55.0, 440.0, 3520.0)
        for channel in range(channels)
    )
    assert isinstance(tones, Tensor)
    return 0.5 * noise + 0.5 * tones.float() / channels


def lowest_snr(reference: Tensor, output: Tensor) -> float:
    """Of the stems `[B, S, C, T]`, in dB; infinite where nothing differs, NaN for NaN."""
    if reference.shape != output.shape:
        return -math.inf
    signal = reference.double().square().sum((0, 2, 3))
    noise = (reference.double() - output.double()).square().sum((0, 2, 3))
    ratios = torch.where(noise == 0, math.inf, 10 * torch.log10(signal / noise))
    return float(ratios.min())


def open_session(runtime: Any, path: Path) -> Any:
    """An onnxruntime session on the CPU, with as many threads as PyTorch has."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _StaticShapes(TorchFunctionMode):
    """Shapes are plain numbers, not traced: the graph then holds no arithmetic of lengths.

    The networks take the batch as "what is left" in every reshape, so it stays free.
    """

    _GET = torch.Tensor.shape.__get__  # type: ignore[attr-defined]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        return torch.Size([int(item) for item in out]) if func == self._GET else out


class _Traced(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, mix: Tensor) -> Tensor:
        with _StaticShapes():
            stems: Tensor = self.network(mix)
        return stems


def _trace(path: Path, model: nn.Module, length: int) -> None:
    # Of one example, since the exporter makes the LSTM's first state for that many, and spreads it.
    mix = torch.zeros(1, int(model.audio_channels), length)  # type: ignore[arg-type]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that shapes are constant is meant so
        torch.onnx.export(
            _Traced(exportable(model)).eval(),
            (mix,),
            str(path),
            input_names=["mix"],
            output_names=["stems"],
            dynamic_axes={"mix": {0: "batch"}, "stems": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingToolError(
            f"ONNX needs {name}, which is not installed: pip install '.[onnx]', or pip install "
            "onnx onnxruntime"
        ) from None
