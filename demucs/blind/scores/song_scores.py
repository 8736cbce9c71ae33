"""All scores of one song: what a teacher's stems tell of their own quality."""

from collections.abc import Sequence

from torch import Tensor

from demucs.blind.records import Measures
from demucs.blind.scores import disagreement
from demucs.blind.scores.agreement import agreement, mean_of
from demucs.blind.scores.mixture_scores import correlation, loudness, residual
from demucs.blind.scores.reseparation import cycle, reseparation, self_cycle
from demucs.blind.scores.spectrogram_scores import spectral_sanity
from demucs.blind.teacher import Teacher

DEFINITIONS = {
    "reseparation": "dB by which a stem agrees with the same stem of its own separation",
    "reseparation_gap": "dB by which that stem is louder than the others of the separation",
    "reseparation_own": "P_ii of HTDemucs, in [0, 1]",
    "reseparation_leak": "largest P_ij of HTDemucs, in [0, 1]; low is good",
    "polarity": "agreement with the stem of the mixture of turned polarity, dB",
    "swap": "agreement with the stem of the mixture with left and right exchanged, dB",
    "shift": "agreement with the stem of the mixture 54 ms later, dB",
    "gain": "agreement with the stem of the mixture at a quarter of its amplitude, dB",
    "speed": "agreement with the stem of the mixture played 2 % slower, dB",
    "noise": "agreement with the stem of the mixture with noise 26 dB below it, dB",
    "self_cycle": "agreement with the stem of a mixture of the song's stems at other times, dB",
    "cycle": "agreement with the stem of a mixture with stems of another song, dB",
    "members": "mean agreement with the stems of other models, checkpoints or averages, dB",
    "residual": "the mixture over what the stems leave of it, dB; of all stems together",
    "correlation": "largest cosine with another stem, in [0, 1]; low is good",
    "level": "of the estimate, dB below full scale",
    "level_gap": "dB above the loudest other stem",
    "active_share": "share of seconds above -40 dB",
    "holes": "share of the spectrogram that lies 25 dB below its neighbourhood; low is good",
    "musical_noise": "log kurtosis of the powers over the mixture's; low is good",
    "bandwidth": "kHz below which 95 % of the energy lies",
}
LOW_IS_GOOD = frozenset({"reseparation_leak", "correlation", "holes", "musical_noise"})


def score_track(
    teacher: Teacher,
    mixture: Tensor,
    *,
    estimates: Tensor | None = None,
    others: Sequence[Tensor] = (),
    members: Sequence[Tensor] = (),
) -> tuple[Tensor, dict[str, Measures]]:
    """Separates a song and scores the stems.

    About 7 + S times the work of a separation; two more with `others`, and one for each model of
    a bag.

    Args:
        teacher: separates.
        mixture: `[C, T]` at the teacher's sample rate.
        estimates: the teacher's stems of it, where they are there already.
        others: estimates `[S, C, T']` of one or two other songs, for `cycle`.
        members: other models' estimates `[S, C, T]` of this mixture, for `members`. The models of
            a bag are taken by themselves.

    Returns:
        The stems `[S, C, T]`, and scores by their names in `DEFINITIONS`; a name is missing where
        there is nothing to compute it from.
    """
    estimates = teacher(mixture) if estimates is None else estimates
    rate = teacher.samplerate
    scores: dict[str, Measures | None] = dict(reseparation(teacher, estimates))
    for probe in (
        disagreement.polarity, disagreement.swap, disagreement.shift, disagreement.gain,
        disagreement.speed, disagreement.noise,
    ):  # fmt: skip
        scores[probe.__name__] = probe(teacher, mixture, estimates)
    scores["self_cycle"] = self_cycle(teacher, estimates)
    if others:
        scores["cycle"] = cycle(teacher, estimates, others)
    members = [*members, *(member(mixture) for member in teacher.members)]
    if members:
        scores["members"] = mean_of([agreement(estimates, measures, rate) for measures in members])
    scores["residual"] = residual(mixture, estimates, rate)
    scores["correlation"] = correlation(estimates, rate)
    scores.update(loudness(estimates, rate))
    scores.update(spectral_sanity(mixture, estimates, rate))
    return estimates, {
        name: measures for name in DEFINITIONS if (measures := scores.get(name)) is not None
    }
