"""log-WMSE: an error weighted by the ear's sensitivity, also where the reference is silent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.errors import MissingToolError
from demucs.evaluation.metrics.definitions import Measured, window_count

Array = NDArray[Any]


def log_wmse(mixture: Array, references: Array, estimates: Array, samplerate: int) -> Measured:
    """The metric `log_wmse` by its author's package, for the track `[S]` and its windows `[S, N]`.

    Args:
        mixture: `[C, T]`, whose level the error is measured against.
        references, estimates: `[S, C, T]`.
        samplerate: Hz; other rates than 44100 Hz are converted.

    Raises:
        MissingToolError: the package is not installed.
    """
    measure = package()
    size = min(samplerate, mixture.shape[-1])
    count = window_count(mixture.shape[-1], samplerate)
    heard = mixture.astype(np.float32)
    whole, parts = [], []
    for truth, guess in zip(references, estimates, strict=True):
        if not np.isfinite(guess).all():
            whole.append(np.nan)
            parts.append([np.nan] * count)
            continue
        stems = guess.astype(np.float32), truth.astype(np.float32)
        whole.append(float(measure(heard, *stems, samplerate)))
        windows = (slice(k * size, (k + 1) * size) for k in range(count))
        parts.append(
            [
                float(measure(heard[:, window], *(stem[:, window] for stem in stems), samplerate))
                for window in windows
            ]
        )
    return {"log_wmse": (np.array(whole), np.array(parts))}


def package() -> Any:
    """The package's function.

    Raises:
        MissingToolError: it is not installed.
    """
    try:
        from log_wmse_audio_quality import calculate_log_wmse
    except ImportError as error:
        raise MissingToolError(
            "log_wmse needs the package log-wmse-audio-quality: pip install "
            "log-wmse-audio-quality, or leave this metric out"
        ) from error
    return calculate_log_wmse
