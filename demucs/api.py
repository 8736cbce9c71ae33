"""Separation from Python: `Separator`, `save_audio`, `list_models`.

separator = Separator("SIG", repo="release_models")
mixture, stems = separator.separate_audio_file("song.flac")
for name, stem in stems.items():
    save_audio(stem, f"{name}.wav", separator.samplerate)

for block in separator.separate_blocks("a_long_set.flac"):  # in memory that stays constant
    block.start, block.mixture, block.stems  # sample, [C, T_block], [S, C, T_block]
"""

import copy
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.apply.memory import MemoryGuard
from demucs.apply.parameters import (
    batch_of,
    flag,
    overlap_of,
    path_of,
    pick_device,
    samplerate_of,
    segment_of,
    shifts_of,
    threads_of,
)
from demucs.apply.plan import Callback
from demucs.apply.stream import Block, apply_blocks
from demucs.audio import (
    AudioSource,
    convert_audio,
    count_bad,
    normalise,
    read_audio,
    share_residual,
    write_audio,
)
from demucs.errors import AudioError, ConfigError
from demucs.nn.fast import release_memory
from demucs.nn.inference import inference_form
from demucs.pretrained import get_model
from demucs.release import DEFAULT_FOLDER, ReleaseFolder, remote
from demucs.release.listing import ModelEntry, list_entries

__all__ = ["Block", "ModelEntry", "Separator", "list_entries", "list_models", "save_audio"]

_KEEP: Any = object()  # leaves a parameter unchanged, where None is a value


class Separator:
    """Separates files and tensors with one model.

    If the device runs out of memory on a chunk, this chunk and all later ones are halved, with a
    warning in the log.

    Args:
        model: name or signature of a release, or several for a bag (`A,B`; see
            `demucs.pretrained.get_model`), or a network that is already loaded, which is not
            modified; on a CPU its weights are taken as they are now.
        repo: folder of releases; None is `./release_models`.
        device: the device to compute on; None is a CUDA device if there is one, else the CPU.
        shifts: average over this number of random delays of up to half a second, which are the
            same in every run; 0 disables them.
        overlap: fraction of a chunk that the next one covers again, in [0, 1).
        split: separate chunk by chunk, in constant memory on the device.
        segment: length of a chunk in seconds; None is the model's own.
        jobs: chunks separated at the same time, in threads; on the CPU only.
        progress: show a bar.
        callback: called before and after each chunk with a dict, see `demucs.apply.apply_model`;
            to abort, raise `KeyboardInterrupt` in it.
        callback_arg: further items for that dict.
        lean: hold the weights only once, in the form that runs on this device; `model` is that form
            then, and the device must not be changed.
        precision: of the network; the transforms always have 32 bits. None is "fp32"
            on a CPU and "tf32" on a GPU that has it. "bf16" is faster, with an error around 45 dB
            below the stems, on a CPU that multiplies it and on a GPU of the Ampere generation or
            later.
        batch: chunks in a batch; None: as many as the memory of a GPU allows, one on a CPU. Halved,
            with a warning, if the batch does not fit.

    Raises:
        ModelNotFoundError: no such model in `repo`.
        ReleaseError: the model's file is corrupted.
        ConfigError: an argument of another type or out of its range, an unknown or unavailable
            device, or a precision that it does not have.

    A separator can be copied (`copy.deepcopy`), pickled and sent to another process: the copy gives
    the same stems, bit for bit. A callback is pickled by its name, so give a function of a module.
    """

    def __init__(
        self,
        model: str | nn.Module = "htdemucs",
        repo: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
        shifts: int = 1,
        overlap: float = 0.25,
        split: bool = True,
        segment: float | None = None,
        jobs: int = 0,
        progress: bool = False,
        callback: Callback | None = None,
        callback_arg: Mapping[str, Any] | None = None,
        *,
        precision: str | None = None,
        lean: bool = False,
        batch: int | None = None,
    ) -> None:
        self._options: dict[str, Any] = {"batch": batch_of(batch)}
        self.update_parameter(
            device=device,
            shifts=shifts,
            overlap=overlap,
            split=split,
            segment=segment,
            jobs=jobs,
            progress=progress,
            callback=callback,
            callback_arg=callback_arg,
        )
        self._device: torch.device = self._options["device"]
        if not isinstance(precision, str | None):
            raise ConfigError(f"precision={precision!r}: give a name such as 'fp32', or None.")
        lean = flag("lean", lean)
        self._model: Any = _network_of(model, repo)
        self._precision = precision
        self._prepared: nn.Module | None = None
        self._prepared_for = ""  # the kind of device
        self._prepare_for(self._device)
        self._model = self._prepared if lean else self._model

    def __reduce__(self) -> tuple[Any, ...]:
        """For `pickle`: as bytes, since `multiprocessing` would share the memory of each tensor."""
        return _restored, (type(self), pickle.dumps(self.__dict__))

    def __copy__(self) -> "Separator":
        """With the same network, and parameters of its own."""
        return _with(type(self), {**self.__dict__, "_options": dict(self._options)})

    def __deepcopy__(self, memo: dict[int, Any]) -> "Separator":
        return _with(type(self), copy.deepcopy(self.__dict__, memo))

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode."""
        network: nn.Module = self._model
        return network

    @property
    def samplerate(self) -> int:
        """Sample rate of the stems, Hz."""
        return int(self._model.samplerate)

    @property
    def audio_channels(self) -> int:
        """Number of channels of the stems."""
        return int(self._model.audio_channels)

    @property
    def sources(self) -> list[str]:
        """Names of the stems, in the order of the model's output."""
        return list(self._model.sources)

    def update_parameter(
        self,
        device: str | torch.device | None = _KEEP,
        shifts: int = _KEEP,
        overlap: float = _KEEP,
        split: bool = _KEEP,
        segment: float | None = _KEEP,
        jobs: int = _KEEP,
        progress: bool = _KEEP,
        callback: Callback | None = _KEEP,
        callback_arg: Mapping[str, Any] | None = _KEEP,
    ) -> None:
        """Changes the given parameters, whose meaning is that of the class.

        Raises:
            ConfigError: a parameter of another type or out of its range; then nothing is changed.
        """
        given = {
            "device": device,
            "shifts": shifts,
            "overlap": overlap,
            "split": split,
            "segment": segment,
            "num_workers": jobs,
            "progress": progress,
            "callback": callback,
            "callback_arg": callback_arg,
        }
        checked = {
            name: _CHECKS[name](value) for name, value in given.items() if value is not _KEEP
        }
        self._options["guard"] = MemoryGuard()
        self._options.update(checked)

    def _prepare_for(self, device: torch.device) -> nn.Module:
        """The form of the model that runs on `device`, which is made once."""
        kind = device.type
        if self._prepared is None or self._prepared_for != kind:
            self._prepared, self._prepared_for = (
                inference_form(self._model, self._precision, device),
                kind,
            )
        return self._prepared

    def _network(self) -> nn.Module:
        return self._prepare_for(self._options["device"])

    def separate_tensor(
        self, wav: Tensor, sr: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Separates a signal.

        Args:
            wav: `[C, T]`, never modified. Other numbers of channels than the model's are
                converted.
            sr: its sample rate in Hz, converted to the model's; None: it has the model's.

        Returns:
            The mixture as given to the model and the stems by name, each `[C, T']`, with the
            channels and the sample rate of the model.

        Raises:
            AudioError: not a `[C, T]` signal with at least one sample, samples that are infinite
                or not numbers, or channels that cannot be converted.
            ConfigError: an invalid sample rate, or parameters out of their range.
        """
        rate = self.samplerate if sr is None else samplerate_of("sr", sr)
        _check_signal(wav)
        if wav.dim() != 2 or 0 in wav.shape:
            raise AudioError(
                f"Cannot separate samples of shape {list(wav.shape)}: "
                "give [channels, samples] with at least one sample."
            )
        floats = wav.detach().float()
        bad = count_bad(floats)
        if bad:
            raise AudioError(
                f"Cannot separate a signal with {bad} samples that are NaN or infinite, of "
                f"{wav.numel()}: replace them first (torch.nan_to_num)."
            )
        mixture = convert_audio(floats, rate, self.samplerate, self.audio_channels)
        if mixture.data_ptr() == wav.data_ptr():
            mixture = mixture.clone()  # what is returned is the caller's to change
        if mixture.shape[-1] == 0:
            raise AudioError(
                f"Cannot separate {wav.shape[-1]} samples at {rate} Hz: "
                f"not one is left at {self.samplerate} Hz. Give a longer signal."
            )
        whole, mean, scale = normalise(mixture)
        try:
            stems = apply_model(self._network(), whole[None], **self._options)[0] * scale + mean
        finally:
            release_memory()
        return mixture, dict(zip(self.sources, stems, strict=True))

    def separate_audio_file(
        self, file: str | bytes | os.PathLike[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Reads a file and separates it; returns what `separate_tensor` does.

        Raises:
            AudioError: the file cannot be read; the message names it.
            ConfigError: `file` is not a path.
        """
        path = path_of("file", file)
        wav, samplerate = read_audio(path)
        try:
            return self.separate_tensor(wav, samplerate)
        except AudioError as error:
            raise AudioError(f"{path}: {error}") from error

    def separate_blocks(
        self, file: str | bytes | os.PathLike[str], *, consistency: bool = False
    ) -> Iterator[Block]:
        """Separates a file of any length, a block at a time, in constant memory.

        The file is read twice: first for the mean and the deviation that are removed for the model.
        The concatenated blocks are the result of `separate_audio_file`, up to rounding.

        Args:
            file: as in `separate_audio_file`.
            consistency: make the stems sum to the mixture, by adding an equal share of the residual
                to each (`demucs.audio.share_residual`).

        Yields:
            `Block`s with `mixture` `[C, T_block]`, `stems` `[S, C, T_block]` in the order of
            `sources`, the first sample `start` and the samples of the whole track, `total`. They
            follow each other without gaps. Their lengths vary, up to about a chunk's; their
            tensors are on the CPU, with the channels and the sample rate of the model.

        Raises:
            AudioError: the file cannot be read (before the first block), or changes meanwhile.
            ConfigError: arguments of another type (at once), or parameters out of their range.
        """
        return self._blocks(path_of("file", file), flag("consistency", consistency))

    def _blocks(self, path: Path, consistency: bool) -> Iterator[Block]:
        source = AudioSource(path, self.samplerate, self.audio_channels)
        blocks = apply_blocks(
            self._network(),
            source.blocks(),
            source.length,
            mean=source.mean,
            scale=source.scale,
            **self._options,
        )
        try:
            for block in blocks:
                if consistency:
                    block = replace(block, stems=share_residual(block.mixture, block.stems))
                yield block
                del block  # frees its memory while the next one is separated
        finally:
            release_memory()


def _restored(kind: type[Separator], content: bytes) -> Separator:
    return _with(kind, pickle.loads(content))


def _with(kind: type[Separator], attributes: dict[str, Any]) -> Separator:
    separator = kind.__new__(kind)
    separator.__dict__.update(attributes)
    return separator


def _load(name: str, repo: str | os.PathLike[str] | None) -> nn.Module:
    return get_model(name, repo).eval()


def _network_of(model: str | nn.Module, repo: str | os.PathLike[str] | None) -> nn.Module:
    if not isinstance(model, nn.Module):
        return _load(model, repo)
    needed = ("sources", "samplerate", "audio_channels", "segment")
    missing = [name for name in needed if not hasattr(model, name)]
    if missing:
        raise ConfigError(
            f"The network {type(model).__name__} has no {', '.join(missing)}: give it these "
            "attributes, or load a model by its name."
        )
    return model


def _callback(value: object) -> object:
    if value is not None and not callable(value):
        raise ConfigError(f"callback={value!r}: give a function that takes a dict, or None.")
    return value


def _callback_arg(value: object) -> object:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"callback_arg={value!r}: give a dict, or None.")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "device": pick_device,
    "shifts": shifts_of,
    "overlap": overlap_of,
    "split": partial(flag, "split"),
    "segment": segment_of,
    "num_workers": partial(threads_of, "jobs"),
    "progress": partial(flag, "progress"),
    "callback": _callback,
    "callback_arg": _callback_arg,
}


def _check_signal(wav: object) -> None:
    if not isinstance(wav, Tensor) or wav.is_complex() or wav.dtype == torch.bool:
        kind = f"{wav.dtype}" if isinstance(wav, Tensor) else type(wav).__name__
        raise AudioError(
            f"Cannot take samples as {kind}: give a real torch tensor [channels, samples] "
            "(torch.as_tensor makes one)."
        )


def save_audio(
    wav: Tensor,
    path: str | os.PathLike[str],
    samplerate: int,
    bitrate: int = 320,
    clip: str = "rescale",
    bits_per_sample: int = 16,
    as_float: bool = False,
    preset: int = 2,
) -> None:
    """Writes `wav` `[C, T]` to a .wav, .flac or .mp3 file; see `demucs.audio.write_audio`.

    Args:
        bitrate: of an mp3, 8 to 320 kbit/s.
        clip: how integers are kept inside full scale: rescale, clamp, tanh or none. It is applied
            to this signal alone: scale all stems of one track by
            `demucs.audio.common_gain(stems.values())` first.
        bits_per_sample: 16, 24 or 32.
        as_float: write 32-bit floats instead, unchanged.
        preset: of an mp3, 2 (best) to 7 (fastest).

    Raises:
        ConfigError: another value than these, or one that the format does not support.
        AudioError: the file cannot be written, or there are no samples, or some are not finite.
    """
    rate = samplerate_of("samplerate", samplerate)
    _check_signal(wav)
    write_audio(
        path_of("path", path),
        wav,
        rate,
        bits=bits_per_sample,
        float32=flag("as_float", as_float),
        clip=clip,
        mp3_bitrate=bitrate,
        mp3_preset=preset,
    )


def list_models(repo: str | os.PathLike[str] | None = None) -> dict[str, dict[str, Path | str]]:
    """The names that `Separator` accepts; `list_entries` gives their metadata.

    Args:
        repo: folder of models; None is `./release_models` and the published models.

    Returns:
        `{"single": {name: file}, "bag": {name: file}}`. Of a published model that is not fetched
        yet, the file is its address; of such a bag, the catalogue.
    """
    folder = ReleaseFolder(DEFAULT_FOLDER if repo is None else path_of("repo", repo))
    single: dict[str, Path | str] = {name: folder.path(name) for name in folder.names()}
    bag: dict[str, Path | str] = {
        name: folder.path(name) for name in folder.bags() if name not in single
    }
    for entry in list_entries() if repo is None else ():
        if entry.place != "local":
            known = remote.CATALOGUE if entry.kind == "bag" else remote.url_of(entry.name)
            (bag if entry.kind == "bag" else single)[entry.name] = (
                Path(entry.path) if entry.path else known
            )
    return {"single": single, "bag": bag}
