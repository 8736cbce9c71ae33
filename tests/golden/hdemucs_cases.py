"""The configurations, weights and inputs behind the HDemucs golden files.

Imported both by the test and by the script that asks the public implementation, so that both
sides see the same numbers. Weights and inputs come from a counter-based generator keyed by
name: no weights need to be stored.
"""

import zlib

import numpy as np
import torch

FOUR = ["drums", "bass", "other", "vocals"]
AMPLITUDE = dict(cac=False, hybrid_old=True, norm_starts=100)
TINY = dict(channels=8, nfft=256, depth=4)

# name: (arguments of HDemucs, batch size, length in samples)
CASES: dict[str, tuple[dict, int, int]] = {
    "default-48": (dict(sources=FOUR), 1, 22051),
    "group-48": (dict(sources=FOUR, **AMPLITUDE, dconv_init=1e-3), 1, 22051),
    "group-batch": (dict(sources=FOUR, channels=16, **AMPLITUDE), 3, 12345),
    "default-batch": (dict(sources=FOUR, channels=16), 2, 33077),
    "shorter-than-window": (dict(sources=FOUR, channels=16), 2, 1500),
    "one-sample": (dict(sources=FOUR, channels=8, norm_groups=2), 2, 1),
    "old-short": (dict(sources=FOUR, channels=8, **AMPLITUDE), 1, 700),
    "mono-two-stems": (dict(sources=["vocals", "rest"], audio_channels=1, channels=16), 2, 9000),
    "six-stems": (dict(sources=[*FOUR, "guitar", "piano"], channels=8, emb_scale=3), 1, 10001),
    "channels-time": (
        dict(sources=FOUR, channels=8, channels_time=20, growth=1.5, norm_starts=100, dconv_attn=9),
        1,
        8192,
    ),
    "multi-freqs": (dict(sources=FOUR, channels=8, multi_freqs=[0.25, 0.6]), 2, 8000),
    "multi-freqs-deep": (
        dict(sources=FOUR, channels=8, multi_freqs=[0.5], multi_freqs_depth=3, dconv_mode=3),
        1,
        8000,
    ),
    "dconv-both-early": (
        dict(sources=FOUR, channels=16, dconv_mode=3, dconv_lstm=2, dconv_attn=1, dconv_comp=2),
        1,
        6000,
    ),
    "no-dconv": (dict(sources=FOUR, channels=16, dconv_mode=0, freq_emb=0), 1, 7777),
    "context": (dict(sources=FOUR, channels=8, context=2, context_enc=1, norm_starts=0), 1, 7000),
    "spectrogram-only": (dict(sources=FOUR, channels=8, hybrid=False), 2, 20000),
    "no-rewrite": (dict(sources=FOUR, channels=16, rewrite=False, dconv_depth=-3), 1, 7001),
    "small-nfft": (dict(sources=FOUR, channels=8, nfft=1024, depth=5, time_stride=4), 2, 9999),
    "other-strides": (
        dict(
            sources=FOUR,
            channels=4,
            kernel_size=4,
            stride=2,
            nfft=256,
            depth=7,
            norm_starts=100,
            dconv_attn=9,
            growth=1.5,
        ),
        1,
        5000,
    ),
    "deep": (dict(sources=FOUR, channels=4, depth=7, norm_groups=1), 1, 30000),
    "long-lstm": (dict(sources=FOUR, **TINY, dconv_lstm=2, dconv_attn=3), 2, 40001),
    "ratio-mask": (dict(sources=FOUR, **TINY, cac=False, wiener_iters=-1, end_iters=-1), 2, 5001),
    "wiener": (dict(sources=FOUR, **TINY, cac=False, wiener_iters=2, end_iters=2), 2, 24001),
    "wiener-residual": (
        dict(sources=FOUR, **TINY, cac=False, wiener_iters=1, end_iters=1, wiener_residual=True),
        1,
        5001,
    ),
}


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in [-1, 1) that depend on the name and the shape alone."""
    generator = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))
    return 2 * generator.random(shape) - 1


def fill_weights(model: torch.nn.Module) -> None:
    """Sets every parameter by its name, at a scale that keeps each part of the network audible."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.from_numpy(uniform(name, tuple(parameter.shape)))
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                value = noise * (3.0 / fan_in) ** 0.5 * (0.2 if "embedding" in name else 1.0)
            elif name.endswith(".scale"):
                value = 0.3 + 0.2 * noise
            elif name.endswith("weight"):  # of a norm
                value = 1 + 0.3 * noise
            else:
                value = 0.1 * noise
            parameter.copy_(value)


def mixture(name: str, batch: int, channels: int, length: int) -> torch.Tensor:
    """Noise with a slow swell, `[B, C, T]` in float64."""
    swell = 0.3 + 0.2 * np.sin(np.arange(length) / 700.0)
    return torch.from_numpy(swell * uniform(f"mixture of {name}", (batch, channels, length)))


def probe(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A fixed direction to project on, float64, of unit norm."""
    direction = uniform(f"probe of {name}", shape)
    return torch.from_numpy(direction / np.linalg.norm(direction))


def positions(count: int) -> np.ndarray:
    """Where a flattened output is sampled."""
    return np.linspace(0, count - 1, min(count, 499)).astype(np.int64)


def run_case(
    model: torch.nn.Module, name: str, cases: dict[str, tuple[dict, int, int]] = CASES
) -> dict[str, np.ndarray]:
    """Forward and backward in float64; what a golden file holds of it."""
    kwargs, batch, length = cases[name]
    model.double().eval()
    fill_weights(model)
    mix = mixture(name, batch, kwargs.get("audio_channels", 2), length)
    out = model(mix)
    loss = (out * probe("output", tuple(out.shape))).sum()
    loss.backward()
    gradients = []
    for key, parameter in model.named_parameters():
        # A norm that its layer does not use has none.
        slope = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients.append([slope.norm().item(), (slope * probe(key, slope.shape)).sum().item()])
    flat = out.detach().numpy().ravel()
    return {
        "shape": np.array(out.shape),
        "samples": flat[positions(flat.size)],
        "norm": np.array(np.linalg.norm(flat)),
        "gradients": np.array(gradients),
    }
