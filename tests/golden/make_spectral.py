"""Makes `spectral/golden.json` with librosa and torch, which our own metrics do not use.

    pip install librosa torch      # in an environment of its own: librosa is no requirement
    python tests/golden/make_spectral.py

The metrics are written down here from their published definitions, the plain way: all frames
at once. The tests import this file for the signals.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "spectral" / "golden.json"
CASES = [
    {"samplerate": 44100, "frames": 100_000, "channels": 2, "kind": "leak"},
    {"samplerate": 44100, "frames": 70_001, "channels": 1, "kind": "dull"},
    {"samplerate": 44100, "frames": 50_000, "channels": 2, "kind": "silent estimate"},
    {"samplerate": 44100, "frames": 50_000, "channels": 2, "kind": "silent reference"},
    {"samplerate": 22050, "frames": 40_000, "channels": 2, "kind": "gaps"},
    {"samplerate": 44100, "frames": 3000, "channels": 2, "kind": "leak"},
]


def signals(case: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A reference and an estimate `[C, T]`."""
    rate, frames, channels = case["samplerate"], case["frames"], case["channels"]
    time = np.arange(frames) / rate
    rng = np.random.default_rng(7)
    tones = sum(np.sin(2 * np.pi * f * time + f) / f for f in (110, 440, 1234, 5000)) * 30
    truth = np.stack([tones * (0.2 + c * 0.1) for c in range(channels)])
    truth = truth * (1 + np.sin(2 * np.pi * 1.5 * time)) + 1e-4 * rng.standard_normal(truth.shape)
    noise = 0.02 * rng.standard_normal(truth.shape)
    guess = {
        "leak": truth + noise,
        "dull": np.cumsum(truth, -1) * 0.05 + 0.1 * noise,
        "silent estimate": 0 * truth,
        "silent reference": noise,
        "gaps": truth * (time % 0.5 < 0.4),
    }[case["kind"]]
    if case["kind"] == "silent reference":
        truth = 0 * truth
    return truth.astype(np.float32), guess.astype(np.float32)


def l1_frequency(truth: NDArray[Any], guess: NDArray[Any]) -> float:
    import torch

    spectra = [
        torch.stft(
            torch.from_numpy(one).double(), 2048, 1024, window=torch.ones(2048).double(),
            return_complex=True,
        ).abs()
        for one in (truth, guess)
    ]  # fmt: skip
    return 100 / (1 + 10 * float((spectra[0] - spectra[1]).abs().mean()))


def bleedless_and_fullness(truth: NDArray[Any], guess: NDArray[Any], rate: int) -> list[float]:
    import librosa

    bank = librosa.filters.mel(sr=rate, n_fft=4096, n_mels=512)
    levels = []
    for one in (truth, guess):
        spectrum = librosa.stft(one, n_fft=4096, hop_length=1024, pad_mode="constant")
        levels.append(
            librosa.amplitude_to_db(bank @ np.abs(spectrum), ref=1.0, amin=1e-10, top_db=80)
        )
    gaps = levels[1] - levels[0]
    found = []
    for part in (gaps[gaps > 0], -gaps[gaps < 0]):
        found.append(100 / (1 + (float(part.mean(dtype=np.float64)) if part.size else 0)))
    return found


def mel_bank(rate: int) -> dict[str, Any]:
    """Sums of a bank's rows and columns, and some of its entries."""
    import librosa

    bank = librosa.filters.mel(sr=rate, n_fft=4096, n_mels=512).astype(np.float64)
    return {"rows": bank.sum(1).tolist(), "columns": bank.sum(0).tolist()}


def main() -> None:
    cases = []
    for case in CASES:
        truth, guess = signals(case)
        bleedless, fullness = bleedless_and_fullness(truth, guess, case["samplerate"])
        numbers = {"l1_freq": l1_frequency(truth, guess)}
        cases.append({**case, **numbers, "bleedless": bleedless, "fullness": fullness})
    content = {"cases": cases, "banks": {rate: mel_bank(rate) for rate in (44100, 22050)}}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
