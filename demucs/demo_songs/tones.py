"""Oscillators, envelopes and filters that every instrument uses. Waves are float32 `[T]`."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import signal

Wave: TypeAlias = npt.NDArray[np.float32]
Times: TypeAlias = npt.NDArray[np.float64]

TABLE = 4096  # samples of one period


def hertz(pitch: float) -> float:
    """MIDI number to Hz; 69 is 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def decibels(db: float) -> float:
    """dB to a factor of amplitude."""
    return float(10.0 ** (db / 20.0))


def seconds_axis(frames: int, samplerate: int) -> Times:
    """Times `[T]` in seconds of `frames` samples."""
    return np.arange(frames) / samplerate


def sine(cycles: Times) -> Wave:
    """Sine of a phase in cycles, float64 so that long notes stay in tune."""
    wave: Wave = np.sin((2.0 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))
    return wave


def decay(frames: int, seconds: float, samplerate: int) -> Wave:
    """Exponential envelope `[T]` with a time constant in seconds."""
    fall: Wave = np.exp(seconds_axis(frames, samplerate).astype(np.float32) / np.float32(-seconds))
    return fall


def adsr(
    frames: int, samplerate: int, *, attack: float, fall: float, sustain: float, release: float
) -> Wave:
    """Envelope `[T]`: attack, fall to the sustain level, release before the end (seconds)."""
    times = seconds_axis(frames, samplerate).astype(np.float32)
    end = np.float32(frames / samplerate)
    body = sustain + (1.0 - sustain) * np.exp(-times / np.float32(max(fall, 1e-3)))
    rise = np.minimum(times / np.float32(max(attack, 1e-3)), 1.0)
    drop = np.clip((end - times) / np.float32(max(release, 1e-3)), 0.0, 1.0)
    envelope: Wave = (rise * drop * drop * body).astype(np.float32)
    return envelope


def wavetable(amplitudes: npt.NDArray[np.floating]) -> Wave:
    """One period `[..., TABLE]` of sines with the given amplitudes of harmonics 1, 2, ..."""
    count = min(amplitudes.shape[-1], TABLE // 2 - 1)
    spectrum = np.zeros((*amplitudes.shape[:-1], TABLE // 2 + 1), dtype=np.complex128)
    spectrum[..., 1 : count + 1] = -0.5j * TABLE * amplitudes[..., :count]
    table: Wave = np.fft.irfft(spectrum, axis=-1).astype(np.float32)
    return table


def oscillate(table: Wave, cycles: Times) -> Wave:
    """Reads a table `[TABLE]` at a phase in cycles `[T]`."""
    wave: Wave = table[(cycles * TABLE).astype(np.int64) & (TABLE - 1)]
    return wave


def sweep_tables(
    law: npt.NDArray[np.floating], frequency: float, cutoffs: Times, samplerate: int
) -> Wave:
    """Tables `[K, TABLE]`: a tone with amplitudes `law`, low-passed at K cutoffs in Hz.

    Harmonics above 0.45 of the sample rate are left out. The slope is 12 dB per octave.
    """
    count = max(1, min(len(law), int(0.45 * samplerate / frequency)))
    harmonics = frequency * np.arange(1, count + 1)
    gains = 1.0 / np.sqrt(1.0 + (harmonics[None] / cutoffs[:, None]) ** 4)
    return wavetable(gains * law[None, :count])


def oscillate_sweep(tables: Wave, cycles: Times, position: Wave) -> Wave:
    """Reads tables `[K, TABLE]` between two neighbours; `position` `[T]` runs over 0..1."""
    level = np.clip(position, 0.0, 1.0) * np.float32(tables.shape[0] - 1.001)
    low = level.astype(np.int64)
    share = (level - low).astype(np.float32)
    index = low * TABLE + ((cycles * TABLE).astype(np.int64) & (TABLE - 1))
    flat = tables.reshape(-1)
    start = flat[index]
    mixed: Wave = start + share * (flat[index + TABLE] - start)
    return mixed


def noise(rng: np.random.Generator, frames: int) -> Wave:
    """White noise `[T]` of unit variance."""
    return rng.standard_normal(frames, dtype=np.float32)


def bandpass(wave: Wave, low: float | None, high: float | None, samplerate: int) -> Wave:
    """Second-order Butterworth band of `[..., T]` between two frequencies in Hz; None is open."""
    top = 0.48 * samplerate
    if high is not None and high >= top:
        high = None
    if low is None and high is None:
        return wave
    if low is None:
        kind, edges = "lowpass", [high]
    elif high is None:
        kind, edges = "highpass", [min(low, 0.9 * top)]
    else:
        kind, edges = "bandpass", [low, high]
    frequencies = np.squeeze(np.array(edges, dtype=float))
    sections = signal.butter(2, frequencies, kind, fs=samplerate, output="sos")
    filtered: Wave = signal.sosfilt(sections, wave).astype(np.float32)
    return filtered
