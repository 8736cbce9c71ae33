"""The runs behind the golden training traces: configurations, initial weights, songs, batch order.

Imported both by the test and by the script that asks the public implementation, so that both
sides train the same network on the same examples. Nothing here needs to be stored: weights and
songs are numbers of a counter-based generator, keyed by name.
"""

from typing import Any

import numpy as np
import torch
from hdemucs_cases import fill_weights, uniform
from torch import Tensor, nn

EPOCHS, BATCHES = 4, 5  # of so many steps each: 20 steps, and 4 updates of the averages by epoch
BATCH_SIZE = 4
SOURCES = ("drums", "bass", "other", "vocals")
RATE = 8000  # Hz
SEGMENT, SHIFT = 1.1, 0.1  # seconds
VALID_SECONDS = (2.35, 1.6)  # of the songs to validate on, longer than a chunk of the model

# What makes a run small, with every part of it at work: the layer 4 of 0 to 4 has the LSTM and the
# attention, and 256 = 4**4 is the hop of an STFT of 1024 samples.
REDUCED = (
    f"epochs={EPOCHS}",
    f"batch_size={BATCH_SIZE}",
    "model=hdemucs",
    "model_segment=1",
    "hdemucs.nfft=1024",
    "hdemucs.depth=5",
    f"dset.samplerate={RATE}",
    f"dset.musdb_samplerate={RATE}",
    f"dset.segment={SEGMENT}",
    f"dset.shift={SHIFT}",
    "augment.repitch.proba=0",
    "seed=42",
)

# The overrides of the group's 390-epoch run. 20 channels, so that the penalty has weights of 80
# rows and columns (an LSTM and a transposed convolution among them) for its projection on 80.
GROUP = (
    "test.every=100",
    "hdemucs.norm_starts=100",
    "hdemucs.cac=False",
    "hdemucs.hybrid_old=True",
    "hdemucs.dconv_lstm=4",
    "test.split=True",
    "valid_apply=True",
    "ema.epoch=[0.9,0.95]",
    "ema.batch=[0.9995,0.9999]",
    "svd=base",
    "svd.penalty=1e-05",
    "svd.dim=80",
    "svd.convtr=True",
    "optim.lr=0.0003",
)

CASES: dict[str, tuple[str, ...]] = {
    "group": (*REDUCED, *GROUP, "hdemucs.channels=20", "svd.min_size=0.19"),
    # The network's defaults, and what `group` leaves neutral: stems of unequal weight, a norm to
    # clip to, a projection on a single vector (which the estimate then depends on) of small weights
    # too, the embedding among them, and validation of whole songs at once.
    "default": (
        *REDUCED,
        "test.every=100",
        "hdemucs.channels=16",
        "weights=[1,2,0.5,1.5]",
        "optim.clip_grad=0.01",
        "svd.penalty=1e-3",
        "svd.min_size=0.005",
        "valid_apply=false",
        "ema.batch=[0.9]",
        "test.metric=nsdr",
    ),
    # The mean squared error, which the two sides scale differently (see the test).
    "mse": (*REDUCED, "test.every=100", "hdemucs.channels=8", "optim.loss=mse", "ema.epoch=[0.5]"),
}


def model_arguments(plain: dict[str, Any]) -> dict[str, Any]:
    """Of the network that the configuration `plain` names."""
    return {
        **plain["hdemucs"],
        "sources": list(plain["dset"]["sources"]),
        "audio_channels": plain["dset"]["channels"],
        "samplerate": plain["dset"]["samplerate"],
        "segment": float(plain["model_segment"]),
    }


def start(model: nn.Module) -> None:
    """Sets the initial weights."""
    fill_weights(model)


def step_seed(seed: int, epoch: int, batch: int) -> int:
    """What the generator is seeded with before the penalty of a step draws its projections."""
    return int(np.random.SeedSequence((seed, epoch, batch)).generate_state(1, np.uint64)[0])


def song(name: str, seconds: float) -> Tensor:
    """Stems `[S, C, T]`, each with a register and a texture of its own, and some noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    stems = []
    for place, source in enumerate(SOURCES):
        level, pitch, rhythm = 0.5 * (1 + uniform(f"{name} {source}", (3,)))
        tone = np.sin(2 * np.pi * 70 * 3.0**place * (1 + pitch) * time)
        noise = uniform(f"noise of {name} {source}", (2, len(time)))
        pulse = np.exp(-6 * ((time * (2 + 4 * rhythm)) % 1))
        wave = (pulse * noise if place == 0 else tone * (0.4 + 0.6 * pulse)) + 0.02 * noise
        pan = np.array([[0.5 + 0.4 * pitch], [0.9 - 0.4 * pitch]])
        stems.append((0.4 + level) * pan * wave)
    return torch.from_numpy(np.stack(stems).astype(np.float32))


def segments() -> list[Tensor]:
    """All that is trained on, before any augmentation."""
    return [song(f"train {number}", SEGMENT) for number in range(BATCHES * BATCH_SIZE)]


def valid_songs() -> list[Tensor]:
    """What is validated on, `[S, C, T]` each."""
    return [song(f"valid {number}", length) for number, length in enumerate(VALID_SECONDS)]


def order(epoch: int) -> np.ndarray:
    """The segments of each batch of an epoch, `[BATCHES, BATCH_SIZE]`."""
    key = uniform(f"order of epoch {epoch}", (BATCHES * BATCH_SIZE,))
    return np.argsort(key).reshape(BATCHES, BATCH_SIZE)


def projections(state: dict[str, Tensor], first: dict[str, Tensor]) -> dict[str, float]:
    """Each tensor's change since `first`, projected on fixed noise of unit variance.

    The sum of squared differences of two runs' projections is, in expectation, the squared
    distance of their weights: so a distance can be told without the weights.
    """
    return {
        name: float(
            (
                (value.double() - first[name].double())
                * torch.from_numpy(3**0.5 * uniform(f"probe of {name}", tuple(value.shape)))
            ).sum()
        )
        for name, value in state.items()
    }
