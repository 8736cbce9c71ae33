"""The `demucs` command: separates the stems of audio files.

    demucs --repo ./release_models -n SIG song.mp3

Heavy imports wait until the arguments are known to be right.
"""

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demucs.errors import ConfigError, DemucsError, ModelNotFoundError
from demucs.separate_names import OutputNames
from demucs.separate_options import Options, parse_options

if TYPE_CHECKING:
    from torch import Tensor

    from demucs.api import Separator


def main(opts: Sequence[str] | None = None) -> None:
    """Runs the command with the arguments `opts` (None: those of the process).

    Exits with 1 if any track could not be separated (the others are), 2 if the arguments are
    wrong, 130 when interrupted.
    """
    options = parse_options(opts)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("demucs").setLevel(logging.DEBUG if options.verbose else logging.WARNING)
    try:
        failed = _list_models(options) if options.list_models else _separate_all(options)
    except DemucsError as error:
        _complain(str(error), options)
        sys.exit(1)
    except KeyboardInterrupt:
        _complain("interrupted", options)
        sys.exit(130)
    if failed:
        sys.exit(1)


def _list_models(options: Options) -> int:
    from demucs.api import list_models

    if options.repo is not None and not options.repo.is_dir():
        raise ModelNotFoundError(f"--repo {options.repo}: no such folder, so no models to list.")
    for title, kind in (("Bag of models:", "bag"), ("Single models:", "single")):
        print(title, *list_models(options.repo)[kind], sep="\n    ")
    return 0


def _separate_all(options: Options) -> int:
    """Separates every track; returns how many failed."""
    separator = _separator(options)
    stems = _stems(separator.sources, options)
    folder = options.out / options.model_name
    tracks = list(dict.fromkeys(options.tracks))
    names = OutputNames(folder, options.filename, options.extension, tracks)
    print(f"Separated tracks will be stored in {folder.resolve()}", flush=True)
    if options.flac and options.float32:
        _complain("flac holds no floats: writing 24-bit integers for --float32", options)
    failed = 0
    for track in tracks:
        try:
            outputs = names.of(track, stems)
            print(f"Separating track {track}", flush=True)
            _separate(separator, track, outputs, options)
        except DemucsError as error:
            _complain(str(error), options)
            failed += 1
        except Exception as error:  # one track's trouble is not the others'
            remedy = "; try a shorter --segment" if "out of memory" in str(error) else ""
            _complain(f"{track}: {type(error).__name__}: {error}{remedy}", options)
            failed += 1
    if failed:
        _complain(f"{failed} of {len(tracks)} tracks could not be separated", None)
    return failed


def _separator(options: Options) -> "Separator":
    from demucs.api import Separator, pick_device
    from demucs.nn.allocator import tune_allocator
    from demucs.separate_local import load_experiment

    device = pick_device(options.device)
    if device.type == "cpu":
        tune_allocator()
    model = load_experiment(options.sig) if options.sig else options.name
    return Separator(
        model,
        repo=options.repo,
        device=device,
        shifts=options.shifts,
        overlap=options.overlap,
        split=options.split,
        segment=options.segment,
        jobs=options.jobs,
        progress=True,
        precision=options.precision,
    )


def _stems(sources: list[str], options: Options) -> list[str]:
    """Names of the stems to write.

    Raises:
        ConfigError: `--two-stems` names a stem that the model does not have.
    """
    chosen = options.two_stems
    if chosen is None:
        return sources
    if chosen not in sources:
        raise ConfigError(
            f"--two-stems {chosen}: the model {options.model_name} has no such stem; "
            f"choose one of {', '.join(sources)}."
        )
    return [chosen] if options.other_method == "none" else [chosen, f"no_{chosen}"]


def _separate(
    separator: "Separator", track: Path, outputs: dict[str, Path], options: Options
) -> None:
    from demucs.audio import common_gain, write_audio

    mixture, stems = separator.separate_audio_file(track)
    wanted = _choose(mixture, stems, options)
    clip = options.clip_mode
    if clip == "rescale" and not options.float32:
        gain = common_gain(wanted.values())
        if gain < 1:
            logging.getLogger(__name__).info("%s: all stems scaled by %.4f", track, gain)
            wanted = {name: stem * gain for name, stem in wanted.items()}
    for name, path in outputs.items():
        kind = path.suffix.lower()
        write_audio(
            path,
            wanted[name],
            separator.samplerate,
            bits=24 if options.int24 or (kind == ".flac" and options.float32) else 16,
            float32=options.float32 and kind == ".wav",
            clip=clip,
            mp3_bitrate=options.mp3_bitrate,
            mp3_preset=options.mp3_preset,
        )


def _choose(mixture: "Tensor", stems: dict[str, "Tensor"], options: Options) -> dict[str, "Tensor"]:
    """The signals to write: all stems, or one and what is left."""
    chosen = options.two_stems
    if chosen is None:
        return stems
    stem, others = stems[chosen], [wav for name, wav in stems.items() if name != chosen]
    wanted = {chosen: stem}
    if options.other_method == "minus":
        wanted[f"no_{chosen}"] = mixture - stem
    elif options.other_method == "add":
        wanted[f"no_{chosen}"] = sum(others, start=stem * 0)
    return wanted


def _complain(message: str, options: Options | None) -> None:
    print(f"demucs: {message}", file=sys.stderr, flush=True)
    if options is not None and options.verbose and sys.exc_info()[0] is not None:
        traceback.print_exc()


if __name__ == "__main__":
    main()
