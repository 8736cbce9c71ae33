"""Space: placing and panning on a stereo canvas, echo, reverb."""

import numpy as np
from scipy import signal

from demucs.demo_songs.tones import Wave, bandpass, decibels, noise, seconds_axis


def place(canvas: Wave, wave: Wave, start: int, *, gain: float = 1.0, pan: float = 0.0) -> None:
    """Adds a wave `[T]` or `[2, T]` to a canvas `[2, T]` at a sample; what is outside is dropped.

    Args:
        pan: -1 is left, 1 is right. Mono waves keep their power, stereo ones are balanced.
    """
    first, last = max(start, 0), min(start + wave.shape[-1], canvas.shape[-1])
    if first >= last:
        return
    angle = (pan + 1.0) * np.pi / 4.0
    part = wave[..., first - start : last - start]
    sides = (gain * np.array([[np.cos(angle)], [np.sin(angle)]])).astype(np.float32)
    if wave.ndim == 2:
        sides = sides * np.float32(np.sqrt(2.0))
    canvas[:, first:last] += sides * part


def echo(canvas: Wave, delay: int, *, feedback: float, repeats: int = 3) -> Wave:
    """Repeats a canvas `[2, T]` after `delay` samples, alternating the sides."""
    out: Wave = canvas.copy()
    for k in range(1, repeats + 1):
        shift = k * delay
        if shift >= canvas.shape[-1]:
            break
        turned = canvas[::-1] if k % 2 else canvas
        out[:, shift:] += np.float32(feedback**k) * turned[:, :-shift]
    return out


def room(rng: np.random.Generator, seconds: float, samplerate: int) -> Wave:
    """Impulse response `[2, T]` of a room: two decaying noises, the bright one dies first.

    Args:
        seconds: time to fall by 60 dB.
    """
    frames = max(64, int(seconds * samplerate))
    times = seconds_axis(frames, samplerate).astype(np.float32)
    fall = np.float32(-6.9 / seconds)
    tails = []
    for _ in range(2):
        dark = bandpass(noise(rng, frames), 180.0, 2500.0, samplerate) * np.exp(fall * times)
        bright = bandpass(noise(rng, frames), 2500.0, 9000.0, samplerate) * np.exp(
            2.5 * fall * times
        )
        tails.append(dark + 0.6 * bright)
    tail = np.stack(tails).astype(np.float32)
    tail *= np.minimum(times / np.float32(0.004), 1.0)
    delay = int(rng.uniform(0.004, 0.02) * samplerate)
    late: Wave = np.pad(tail, ((0, 0), (delay, 0)))
    return late


def reverberate(dry: Wave, response: Wave, wet_db: float) -> Wave:
    """Adds the reverb of a stem `[2, T]`, its energy `wet_db` against the dry energy."""
    frames = dry.shape[-1]
    sent = dry.mean(0, dtype=np.float32)
    wet = signal.oaconvolve(sent[None], response, axes=-1)[:, :frames]
    energy = float(np.mean(wet.astype(np.float64) ** 2))
    if energy <= 0.0:
        return dry
    target = float(np.mean(dry.astype(np.float64) ** 2)) * decibels(wet_db) ** 2
    mixed: Wave = (dry + np.float32(np.sqrt(target / energy)) * wet).astype(np.float32)
    return mixed
