"""Evaluating models whose answers are known."""

import json
import logging
import math
import re
import time
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from demucs.audio import read_audio
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation import evaluate, nsdr, separate_track
from demucs.evaluation.metrics.definitions import BSS_METRICS
from demucs.evaluation.results.table import results_text
from demucs.release.bag import Bag

RATE = 4000
SOURCES = ["low", "high"]


@dataclass
class Song:
    name: str
    seed: int = 0
    seconds: float = 2.2
    silent: int | None = None

    def load(self):
        generator = torch.Generator().manual_seed(self.seed)
        stems = torch.randn(2, 2, int(self.seconds * RATE), generator=generator)
        if self.silent is not None:
            stems[self.silent] = 0
        return stems.sum(0), stems


class Share(nn.Module):
    """Gives each stem a fixed share of the mixture, so its nSDR is known."""

    def __init__(self, *shares):
        super().__init__()
        self.sources, self.audio_channels, self.samplerate = list(SOURCES), 2, RATE
        self.segment = 1.0
        self.shares = shares

    def forward(self, mix):
        return torch.stack([share * mix for share in self.shares], 1)


class Broken(Share):
    def forward(self, mix):
        raise RuntimeError("no such shape")


def songs(*seeds):
    return [Song(f"song {seed}", seed) for seed in seeds]


def run(model, tracks, **options):
    options = {"metrics": ["nsdr"], "progress": False, "workers": 0, **options}
    return evaluate(model, tracks, **options)


def test_known_answer_and_baseline():
    results = run(Share(0.5, 0.0), songs(1, 2), shifts=0)
    for song in songs(1, 2):
        mixture, stems = song.load()
        mono = mixture.mean(0)
        guess = torch.stack([0.5 * (mixture - mono.mean()) + mono.mean(), 0 * mixture])
        expected = nsdr(stems[None], guess[None])[0]
        values = results.tracks[song.name].values["nsdr"]
        assert values["low"] == pytest.approx(expected[0].item(), abs=0.01)
        assert values["high"] == pytest.approx(0, abs=0.01)
        as_mixture = nsdr(stems[None], mixture.expand_as(stems)[None])[0]
        found = list(results.tracks[song.name].baseline["nsdr"].values())
        assert found == pytest.approx(as_mixture.tolist(), abs=1e-5)
        assert results.tracks[song.name].seconds == pytest.approx(2.2)
    both = [results.tracks[f"song {k}"].values["nsdr"]["low"] for k in (1, 2)]
    column = results.aggregates()["nsdr"]
    assert column["stems"]["low"] == pytest.approx(sum(both) / 2)
    assert column["mean"] == pytest.approx(sum(column["stems"].values()) / 2)
    assert column["tracks"] == {"low": 2, "high": 2}
    assert results.complete
    assert results.failed() == {}


def test_a_bag_is_recorded_as_one():
    single, shares = Share(0.5, 0.0), (Share(0.5, 0.0), Share(0.3, 0.1))
    assert "members" not in run(single, songs(1), shifts=0).model
    assert run(Bag(shares), songs(1), shifts=0).model["members"] == 2


def test_normalisation_is_undone():
    mixture = 7 + 0.01 * torch.randn(2, RATE)
    stems = separate_track(Share(1.0, 0.0), mixture)
    assert torch.allclose(stems[0], mixture, atol=1e-4)
    assert torch.allclose(stems[1], mixture.mean().expand_as(mixture), atol=1e-4)


class Normal(Share):
    """Passes on whether its input is normalised: the deviation of the mono input."""

    def forward(self, mix):
        self.seen = mix.mean(1).std().item(), mix.mean().item()
        return super().forward(mix)


@pytest.mark.parametrize("samples", [1, 3])
def test_one_sample_and_silence_are_separated(samples):
    mixture = torch.full((2, samples), 0.25 if samples == 1 else 0.0)
    stems = separate_track(Share(1.0, 0.0), mixture, shifts=0)
    torch.testing.assert_close(stems[0], mixture)


def test_model_sees_a_normalised_mixture():
    model = Normal(1.0, 1.0)
    separate_track(model, 3 + 20 * torch.randn(2, RATE), shifts=0, split=False)
    assert model.seen == pytest.approx((1, 0), abs=1e-3)


class Shifty(Share):
    """An answer that depends on where the chunks and shifts lie."""

    def forward(self, mix):
        ramp = torch.linspace(0, 1, mix.shape[-1])
        return torch.stack([ramp * mix, (1 - ramp) * mix], 1)


def test_order_of_tracks_does_not_matter():
    model = Shifty(1, 1)
    one, other = run(model, songs(1, 2, 3)), run(model, songs(3, 1, 2))
    assert {n: t.values for n, t in one.tracks.items()} == {
        n: t.values for n, t in other.tracks.items()
    }
    assert one.aggregates() == other.aggregates()
    one.date = other.date
    assert one.to_dict() == other.to_dict()


def test_shifts_differ_between_tracks_and_not_between_runs():
    same = [Song("a", 1), Song("b", 1)]
    values = [t.values["nsdr"]["low"] for t in run(Shifty(1, 1), same).tracks.values()]
    assert values[0] != values[1]
    again = [t.values["nsdr"]["low"] for t in run(Shifty(1, 1), same).tracks.values()]
    assert values == again


def rounded(found):
    """To 1e-9 dB: another number of threads sums in another order."""
    return json.loads(json.dumps(found), parse_float=lambda digits: round(float(digits), 9))


def test_worker_counts_give_the_same():
    tracks = [*songs(1, 2), Song("quiet", 4, silent=1)]
    runs = [
        run(Share(0.6, 0.2), tracks, metrics=["nsdr", *BSS_METRICS], workers=workers)
        for workers in (0, 2)
    ]
    one, other = (rounded(found.to_dict()) for found in runs)
    assert one["tracks"] == other["tracks"]
    values = runs[0].tracks["song 1"].values
    assert list(values) == ["nsdr", "sdr", "isr", "sir", "sar"]
    assert all(value is not None for row in values.values() for value in row.values())
    assert one["aggregates"] == other["aggregates"]


def test_silent_reference_has_no_value_and_a_note():
    results = run(Share(0.5, 0.5), [Song("quiet", silent=1)], metrics=["nsdr", *BSS_METRICS])
    track = results.tracks["quiet"]
    assert track.values["nsdr"]["high"] is None
    assert track.baseline["nsdr"]["high"] is None
    assert track.values["sdr"]["high"] is None
    assert track.values["sdr"]["low"] is not None
    low, high = results.notes()
    assert high == "quiet: high: the reference is silent, so it has no nSDR, SDR, ISR, SIR, SAR"
    assert low.startswith("quiet: low: no window has a finite value")  # nothing interferes
    assert low.endswith("so it has no SIR")
    assert results.aggregates()["nsdr"]["stems"]["high"] is None
    assert results.aggregates()["nsdr"]["tracks"] == {"low": 1, "high": 0}


def test_nan_in_an_estimate_is_named():
    results = run(Share(0.5, math.nan), songs(1), metrics=["nsdr", *BSS_METRICS])
    track = results.tracks["song 1"]
    assert track.values["nsdr"]["high"] is None
    assert track.values["sdr"]["high"] is None
    assert track.values["nsdr"]["low"] is not None
    assert track.values["sdr"]["low"] is not None
    reason = "high: the estimate holds NaN or infinity, so it has no nSDR, SDR, ISR, SIR, SAR"
    assert track.notes == [reason]
    assert track.failed is None


@dataclass
class BadSong(Song):
    problem: str = "missing"

    def load(self):
        mixture, stems = super().load()
        if self.problem == "missing":
            raise DatasetError("drums.wav is missing: put it back")
        if self.problem == "os":
            raise OSError("input/output error")
        if self.problem == "length":
            return mixture[:, 1:], stems
        if self.problem == "empty":
            return mixture[:, :0], stems[..., :0]
        stems[0, 0, 5] = math.nan
        return mixture, stems


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("missing", "drums.wav is missing: put it back"),
        ("os", "OSError: input/output error"),
        ("length", "give all of them the same length"),
        ("empty", r"not \[channels, samples\]"),
        ("nan", "its audio holds NaN"),
    ],
)
def test_a_track_that_does_not_load_is_noted_and_the_rest_done(problem, reason, caplog):
    tracks = [*songs(1), BadSong("bad", problem=problem), *songs(2)]
    with caplog.at_level(logging.ERROR):
        results = run(Share(0.5, 0.5), tracks)
    assert list(results.failed()) == ["bad"]
    assert re.search(reason, results.failed()["bad"])
    assert "track bad failed" in caplog.text
    assert results.aggregates()["nsdr"]["tracks"] == {"low": 2, "high": 2}


def test_a_model_that_fails_is_noted():
    results = run(Broken(1, 1), songs(1), metrics=["nsdr", *BSS_METRICS])
    assert results.failed() == {"song 1": "RuntimeError: no such shape"}
    assert results.aggregates() == {}
    assert "on 0 tracks" in results_text(results)


def test_estimates_are_saved(tmp_path):
    run(Share(0.5, 0.0), [Song("AC/DC")], save_dir=tmp_path, shifts=0)
    wav, rate = read_audio(tmp_path / "AC_DC" / "low.wav")
    mixture, _ = Song("AC/DC").load()
    assert rate == RATE
    assert torch.allclose(wav, 0.5 * mixture, atol=0.02)
    assert (tmp_path / "AC_DC" / "high.wav").is_file()


def test_progress_is_told_track_by_track():
    seen = []
    run(
        Share(0.5, 0.5),
        [*songs(1), BadSong("bad"), *songs(2)],
        on_track=lambda results: seen.append((len(results.tracks), results.complete)),
    )
    assert seen == [(1, False), (2, False), (3, False)]


def test_metrics_can_be_chosen():
    results = run(Share(0.5, 0.5), songs(1), mixture_baseline=False)
    assert list(results.tracks["song 1"].values) == ["nsdr"]
    assert results.baseline() == {}
    results = run(Share(0.5, 0.5), songs(1), metrics=["sdr"])
    assert list(results.tracks["song 1"].values) == ["sdr"]
    results = run(Share(0.5, 0.5), songs(1), metrics=["sdr", "sar"])
    assert list(results.tracks["song 1"].values) == ["sdr", "sar"]
    assert results.baseline() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["pesq"]}, "pesq.*give some of nsdr, sdr"),
        ({"metrics": []}, "give some of nsdr, sdr"),
        ({"shifts": -1}, "shifts=-1"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"workers": -2}, "workers=-2"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ConfigError, match=message):
        run(Share(1, 1), songs(1), **options)


def test_tracks_must_exist_and_differ():
    with pytest.raises(DatasetError, match="no tracks to evaluate"):
        run(Share(1, 1), [])
    with pytest.raises(DatasetError, match="Two tracks are called 'song 1'"):
        run(Share(1, 1), songs(1, 1))


def test_shares_of_tracks_add_up():
    tracks, model = songs(1, 2, 3), Share(0.5, 0.4)
    whole = run(model, tracks)
    parts = [run(model, tracks, mine=mine) for mine in ({"song 1", "song 3"}, {"song 2"})]
    assert [list(part.tracks) for part in parts] == [["song 1", "song 3"], ["song 2"]]
    assert not any(part.complete for part in parts)
    assert parts[0].tracks | parts[1].tracks == whole.tracks
    rest = run(model, tracks, done=parts[0].tracks)
    assert rest.complete
    assert rest.tracks == whole.tracks
    assert run(model, tracks, mine=(), done=parts[0].tracks).tracks == parts[0].tracks


def test_tracks_that_are_done_are_not_done_again():
    first = run(Share(0.5, 0.5), songs(1))
    again = run(Broken(0.5, 0.5), songs(1, 2), done=first.tracks)
    assert again.tracks["song 1"].failed is None
    assert again.tracks["song 2"].failed is not None


def test_stopped_between_tracks():
    seen = []
    found = run(
        Share(0.5, 0.5),
        songs(1, 2, 3),
        on_track=seen.append,
        should_stop=lambda: len(seen) == 2,
    )
    assert list(found.tracks) == ["song 1", "song 2"]
    assert not found.complete


def test_stopped_while_tracks_are_scored():
    """The second would take long to score: it is given up, and its process killed."""
    seen = []
    began = time.monotonic()
    found = run(
        Share(0.5, 0.5),
        [Song("short", 1), Song("long", 2, seconds=2_000)],
        metrics=["nsdr", *BSS_METRICS],
        workers=1,
        on_track=seen.append,
        should_stop=lambda: len(seen) == 1,
    )
    assert list(found.tracks) == ["short"]
    assert found.tracks["short"].values["sdr"]["low"] is not None
    assert time.monotonic() - began < 60
