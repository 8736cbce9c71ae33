"""One side of `bench_separation.py`, in a process of its own.

    PYTHON separation_sides.py serve SIDE PRECISION WEIGHTS MIXTURE
    PYTHON separation_sides.py file PACKAGE WEIGHTS IN.wav OUT_FOLDER EXTENSION

`serve` loads the model and answers one JSON line a request: "forward" → seconds of one forward
pass by the clock and of the processor, "save PATH" → writes the stems, "memory" → the process's
peak in MiB, "peak" → FLOP/s of a matrix product. SIDE is one of ours or "peer:PACKAGE". WEIGHTS is
a state dict for a peer and a release for ours. `file` is a peer's whole work on one file by its own
functions, as its command does it.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from meter import process_peak


def main() -> None:
    torch.set_grad_enabled(False)
    if sys.argv[1] == "file":
        separate_file(*sys.argv[2:])
    else:
        serve(*sys.argv[2:])


def serve(side: str, precision: str, weights: str, mixture: str) -> None:
    kind, _, package = side.partition(":")
    forward = _peer(package, precision, weights) if kind == "peer" else _ours(side, weights)
    mix = torch.load(mixture, weights_only=True)
    print("ready", flush=True)
    for line in sys.stdin:
        request, *arguments = line.split()
        print(json.dumps(_answer(request, arguments, forward, mix, precision)), flush=True)


def _answer(
    request: str, arguments: list[str], forward: Callable, mix: torch.Tensor, precision: str
) -> float | list[float]:
    if request == "forward":
        begin, used = time.perf_counter(), time.process_time()
        forward(mix)
        return [time.perf_counter() - begin, time.process_time() - used]
    if request == "save":
        torch.save(forward(mix).float(), arguments[0])
        return 0.0
    if request == "memory":
        return process_peak()
    assert request == "peak"
    return matrix_peak(torch.bfloat16 if precision == "bf16" else torch.float32)


def matrix_peak(dtype: torch.dtype, size: int = 2048, rounds: int = 20) -> float:
    """The fastest of some products of square matrices, FLOP by second of all cores.

    By processor seconds, so that other jobs cost less of it.
    """
    left, right = torch.randn(2, size, size).to(dtype)
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        left @ right
        best = min(best, time.process_time() - begin)
    return 2 * size**3 / best * torch.get_num_threads()


def _network(package: str, weights: str) -> torch.nn.Module:
    kwargs, state = torch.load(weights, weights_only=True)
    model = importlib.import_module(f"{package}.hdemucs").HDemucs(**kwargs).eval()
    model.load_state_dict(state)
    return model


def _peer(package: str, precision: str, weights: str) -> Callable:
    model = _network(package, weights)

    def forward(mix: torch.Tensor) -> torch.Tensor:
        halves = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with halves:
            return model(mix)

    return forward


def _ours(side: str, weights: str) -> Callable:
    from demucs.nn.allocator import return_large_blocks
    from demucs.nn.inference import cpu_form
    from demucs.release import load_release

    _, precision, allocator = side.split("-")
    if allocator == "command":
        return_large_blocks()
    model, _ = load_release(weights)
    return model if precision == "plain" else cpu_form(model, precision)


def separate_file(package: str, weights: str, track: str, folder: str, extension: str) -> None:
    """A peer: model, file in, `apply_model` with its defaults, files out."""
    audio = importlib.import_module(f"{package}.audio")
    apply_model = importlib.import_module(f"{package}.apply").apply_model
    model = _network(package, weights)
    wav = audio.AudioFile(Path(track)).read(
        streams=0, samplerate=model.samplerate, channels=model.audio_channels
    )
    mono = wav.mean(0)
    wav = (wav - mono.mean()) / mono.std()
    stems = apply_model(model, wav[None], shifts=1, split=True, overlap=0.25, progress=False)[0]
    stems = stems * mono.std() + mono.mean()
    for name, stem in zip(model.sources, stems, strict=True):
        audio.save_audio(stem, f"{folder}/{name}.{extension}", samplerate=model.samplerate)


if __name__ == "__main__":
    main()
