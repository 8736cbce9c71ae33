"""One side of `bench_separation_gpu.py`, in a process of its own.

    PYTHON separation_gpu_sides.py ours|demucs DEVICE WEIGHTS MIXTURE

Answers one JSON line a request. "run PRECISION BATCH [SAVE]": seconds of one `apply_model` over
the mixture, the peak of memory in MiB (of tensors on a GPU; of the process so far on a CPU), and
whether the batch fitted. "peak PRECISION": FLOP/s of a matrix product. WEIGHTS is a release for
ours, and (arguments, state dict) for demucs.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from meter import peak_memory, product_seconds, wait

Run = Callable[[torch.Tensor, str, int], tuple[torch.Tensor, bool]]


def main() -> None:
    torch.set_grad_enabled(False)
    side, device, weights, mixture = sys.argv[1:]
    place = torch.device(device)
    run = _ours(weights, place) if side == "ours" else _public(weights, place)
    mix = torch.load(mixture, weights_only=True)
    print("ready", flush=True)
    for line in sys.stdin:
        request, precision, *rest = line.split()
        if request == "peak":
            answer: object = matrix_peak(precision, place)
        else:
            answer = measured(run, mix, precision, int(rest[0]), place, *rest[1:])
        print(json.dumps(answer), flush=True)


def measured(
    run: Run, mix: torch.Tensor, precision: str, batch: int, device: torch.device, save: str = ""
) -> dict[str, object]:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    wait(device)
    begin = time.perf_counter()
    stems, fitted = run(mix, precision, batch)
    wait(device)
    seconds = time.perf_counter() - begin
    peak = peak_memory(device)
    if save:
        torch.save(stems, save)
    return {"seconds": seconds, "memory_mib": peak, "fitted": fitted}


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """The settings of a precision, alike for a matrix product and for the public package."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    with torch.autocast(device.type, torch.bfloat16, precision == "bf16"):
        yield


def matrix_peak(precision: str, device: torch.device, rounds: int = 20) -> float:
    """The fastest of some products of square matrices, FLOP/s by the clock."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with computing(precision, device):
        return 2 * size**3 / min(product_seconds(size, dtype, device, rounds))


def _ours(weights: str, device: torch.device) -> Run:
    from demucs.apply import apply_model
    from demucs.apply.memory import MemoryGuard
    from demucs.nn.inference import inference_form
    from demucs.release import load_release

    model, _ = load_release(weights)
    networks: dict[str, torch.nn.Module] = {}

    def run(mix: torch.Tensor, precision: str, batch: int) -> tuple[torch.Tensor, bool]:
        if precision not in networks:
            networks[precision] = inference_form(model.eval(), precision, device)
        guard = MemoryGuard()
        stems = apply_model(
            networks[precision], mix, shifts=0, device=device, batch=batch, guard=guard
        )
        return stems, guard.batch is None and guard.limit is None

    return run


def _public(weights: str, device: torch.device) -> Run:
    from demucs.hdemucs import HDemucs

    from demucs.apply import apply_model

    kwargs, state = torch.load(weights, weights_only=True)
    model = HDemucs(**kwargs).eval()
    model.load_state_dict(state)

    def run(mix: torch.Tensor, precision: str, batch: int) -> tuple[torch.Tensor, bool]:
        with computing(precision, device):
            return apply_model(model, mix, shifts=0, device=device).float(), True

    return run


if __name__ == "__main__":
    main()
