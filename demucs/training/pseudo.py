"""The pseudo-labelled songs of a run, put between the labelled ones."""

import logging
from collections import Counter

from demucs.data import TrainingSet
from demucs.data.checks import check_lengths
from demucs.data.distilled import Rating, distilled_tracks
from demucs.data.mixed import MixedSet, Pattern
from demucs.data.silence import SilenceSet
from demucs.errors import ConfigError
from demucs.training.config.blocks import RunConfig

logger = logging.getLogger(__name__)


def with_pseudo(labelled: TrainingSet, run: RunConfig) -> MixedSet:
    """The examples of `labelled` and of `semi.folder`.

    Raises:
        DatasetError: the folder is missing, has no songs, or songs whose labels do not fit.
        ConfigError: segments that its songs cannot fill, no stem that is silent for long enough, or
            weights by a quality that was not predicted.
    """
    semi, dset = run.options.semi, run.options.dset
    assert semi.folder is not None
    tracks, labels = distilled_tracks(
        semi.folder, sources=dset.sources, samplerate=dset.samplerate, channels=dset.channels
    )
    if semi.loss != "plain" and not all(one.predicted for one in labels):
        raise ConfigError(
            f"semi.loss={semi.loss} goes by predicted nSDR, and {semi.folder} has raw scores: "
            "distil with --calibration or --network instead of --by, or use semi=plain"
        )
    pseudo = TrainingSet(
        tracks,
        segment=dset.segment,
        shift=dset.shift,
        augment=run.augment,
        normalize=dset.normalize,
    )
    check_lengths({track.name: track.frames / track.samplerate for track in tracks}, dset.segment)
    silence = None
    if semi.silence > 0:
        silence = SilenceSet(labelled, pseudo, labels, most=semi.silence_below)
    mixed = MixedSet(
        labelled,
        pseudo,
        labels,
        pattern=Pattern.of(semi.ratio, semi.silence),
        rating=Rating(kind=semi.loss, floor=semi.floor, full=semi.full),
        silence=silence,
        unlabelled=semi.refresh,
    )
    kinds = Counter(mixed.pattern.at(place).kind for place in range(len(mixed)))
    logger.info(
        "%d labelled and %d pseudo-labelled tracks; of an epoch's %d examples, %s",
        len(labelled.tracks), len(tracks), len(mixed),
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
    )  # fmt: skip
    return mixed
