"""The quality network: what it hears, predicts and learns from, and its file."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from demucs.blind.network import (
    NetworkConfig,
    QualityNetwork,
    Trained,
    load_network,
    predict,
    save_network,
)
from demucs.blind.network.features import FRAMES, PLANES, Bands, Features, extract
from demucs.blind.network.loss import LossConfig, loss_of
from demucs.blind.network.quality_network import pooled
from demucs.blind.network.truth import Targets, targets, truth_of
from demucs.blind.network.validate import Judged, factors
from demucs.blind.quality import Quality
from demucs.errors import ConfigError, ModelNotFoundError, ReleaseError

SMALL = NetworkConfig(bands=16, channels=4, hidden=8, embedding=4, high=3500.0)
BANDS = Bands(16, 30.0, 3500.0)


def song(stems: int, samplerate: int, seconds: float, channels: int = 2) -> torch.Tensor:
    """Stems `[S, C, T]` of tones and noise."""
    generator = torch.Generator().manual_seed(stems)
    t = torch.arange(int(seconds * samplerate)) / samplerate
    tones = torch.stack([torch.sin(2 * math.pi * 110 * (k + 1) * t) for k in range(stems)])
    noise = torch.randn(stems, channels, len(t), generator=generator)
    return 0.2 * tones[:, None] + 0.05 * noise


def trained(stems: int = 2, config: NetworkConfig = SMALL) -> Trained:
    torch.manual_seed(0)
    network = QualityNetwork([f"stem{k}" for k in range(stems)], config).eval()
    return Trained(
        network=network,
        factors=tuple(1.0 + k for k in range(stems)),
        coverage=0.9,
        facts={"signature": "0123abcd"},
    )


@pytest.mark.parametrize(
    ("stems", "samplerate", "seconds", "channels", "windows"),
    [(1, 8000, 3.5, 1, 3), (2, 22050, 1.0, 2, 1), (4, 44100, 2.2, 2, 2), (6, 8000, 0.3, 2, 1),
     (2, 11025, 0.001, 1, 1)],
)  # fmt: skip
def test_any_stems_rate_and_length_give_a_quality(
    stems: int, samplerate: int, seconds: float, channels: int, windows: int
) -> None:
    wav = song(stems, samplerate, seconds, channels)
    quality = predict(trained(stems), wav.sum(0), wav, samplerate)
    assert quality.windows.shape == quality.active_windows.shape == (stems, windows)
    for values in (quality.sdr, quality.low, quality.high, quality.active):
        assert values.shape == (stems,)
        assert np.isfinite(values).all()
    assert (quality.low < quality.sdr).all()
    assert (quality.sdr < quality.high).all()
    assert ((quality.active_windows >= 0) & (quality.active_windows <= 1)).all()
    # Each stem has its own factor.
    reach = (quality.high - quality.sdr) / (quality.sdr - quality.low)
    assert np.allclose(reach, 1)
    assert Quality.from_dict(quality.to_dict()).sources == quality.sources


def test_silence_has_a_quality_too() -> None:
    wav = song(3, 8000, 2.0)
    wav[1] = 0
    for mixture in (wav.sum(0), torch.zeros_like(wav[0])):
        quality = predict(trained(3), mixture, wav * (mixture.abs().sum() > 0), 8000)
        assert np.isfinite(quality.sdr).all()
        assert np.isfinite(quality.windows).all()


def test_the_same_input_gives_the_same_answer_and_the_gain_does_not_matter() -> None:
    wav, network = song(2, 8000, 3.0), trained(2)
    first = predict(network, wav.sum(0), wav, 8000)
    assert first.to_dict() == predict(network, wav.sum(0), wav, 8000).to_dict()
    quiet = predict(network, wav.sum(0) / 50, wav / 50, 8000)
    assert np.allclose(first.sdr, quiet.sdr, atol=1e-3)


def test_estimates_may_come_in_any_order() -> None:
    wav, network = song(3, 8000, 2.0), trained(3)
    network.network.embedding.weight.data.mul_(50)  # so that stems differ
    one = predict(network, wav.sum(0), wav, 8000)
    other = predict(network, wav.sum(0), wav[[2, 0, 1]], 8000, sources=["stem2", "stem0", "stem1"])
    assert other.sources == ("stem2", "stem0", "stem1")
    for name in ("sdr", "low", "high", "active", "windows", "active_windows"):
        assert np.allclose(getattr(one, name)[[2, 0, 1]], getattr(other, name), atol=1e-5)


def test_levels_in_a_band_do_not_depend_on_the_sample_rate() -> None:
    planes = []
    for samplerate in (22050, 44100):
        t = torch.arange(2 * samplerate) / samplerate
        wav = torch.sin(2 * math.pi * 440 * t)[None].repeat(2, 1)
        planes.append(extract(wav, wav[None] / 2, samplerate, BANDS).planes)
    assert planes[0].shape == (1, PLANES, 16, 2 * FRAMES)
    inside = [one[0, :2, :, 4:-4] for one in planes]
    assert torch.allclose(inside[0][0], inside[1][0], atol=0.05)  # 1 dB
    # All bands together have the level of the mixture, 0 dB, and the estimate is 6 dB below.
    for one in planes:
        power = 10 ** ((20 * one[0, (0, 2)][..., 16] - 40) / 10)
        assert 10 * power.sum(-1).log10() == pytest.approx(torch.tensor([0.0, -6.02]), abs=0.1)


def test_the_start_of_a_song_is_heard_as_it_is_alone() -> None:
    """Windows are cut at whole seconds, blocks of them do not show."""
    wav = song(1, 2000, 40.0, 1)
    long, short = (
        extract(one.sum(0), one, 2000, Bands(8, 30.0, 900.0))
        for one in (wav, wav[..., : 36 * 2000])
    )
    gain = 10 * torch.log10(wav.square().mean() / wav[..., : 36 * 2000].square().mean()) / 20
    same = long.planes[0, 0, :, : 35 * FRAMES] + gain
    assert torch.allclose(same, short.planes[0, 0, :, : 35 * FRAMES], atol=1e-3)


def test_the_ratio_of_a_song_follows_from_its_windows() -> None:
    # Energies 2 and 1 at 0 dB and infinity: stem 1 + 1, error 1.
    found = pooled(torch.tensor([0.0, 60.0]), torch.tensor([2.0, 1.0]))
    assert float(found) == pytest.approx(10 * math.log10(2), abs=1e-3)


def batch(songs: int = 2, windows: int = 3) -> tuple[Features, Targets]:
    wav = song(2, 8000, windows)
    heard = extract(wav.sum(0), wav, 8000, BANDS)
    features = Features(
        planes=heard.planes.repeat(songs, 1, 1, 1, 1), energy=heard.energy.repeat(songs, 1, 1)
    )
    ones = torch.ones(songs, 2, windows)
    target = Targets(
        nsdr=5 * ones,
        active=ones.clone(),
        track_nsdr=5 * ones[..., 0],
        track_active=ones[..., 0],
        mask=ones[:, 0].bool(),
    )
    return features, target


def test_every_weight_has_a_gradient() -> None:
    features, target = batch()
    torch.manual_seed(0)
    network = QualityNetwork(["a", "b"], SMALL)
    loss_of(network(features), target, LossConfig()).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_silent_and_padded_windows_have_no_ratio_to_learn() -> None:
    features, target = batch()
    network = trained(2).network
    output = network(features)
    config = LossConfig(active=0.0)
    whole = loss_of(output, target, config).item()
    target.nsdr[0, 0, 0] = 25.0
    assert loss_of(output, target, config).item() != pytest.approx(whole)
    target.active[0, 0, 0] = 0.0
    without = loss_of(output, target, config).item()
    target.nsdr[0, 0, 0] = float("nan")
    assert loss_of(output, target, config).item() == without
    # Padding counts for nothing, whatever it holds.
    target.mask[1, 2] = False
    padded = loss_of(output, target, LossConfig()).item()
    target.nsdr[1, :, 2], target.active[1, :, 2] = -7.0, 0.0
    assert loss_of(output, target, LossConfig()).item() == padded


def test_padding_changes_no_prediction() -> None:
    features, _ = batch(1, 3)
    network = trained(2).network
    longer = Features(
        planes=torch.nn.functional.pad(features.planes, (0, 4 * FRAMES), value=-2.0),
        energy=torch.nn.functional.pad(features.energy, (0, 4), value=9.0),
    )
    mask = torch.tensor([[True] * 3 + [False] * 4])
    short, long = network(features), network(longer, mask)
    assert torch.allclose(short.windows.mean[..., :2], long.windows.mean[..., :2], atol=1e-4)
    # The last window hears what follows; the song's prediction changes with it alone.
    assert torch.allclose(short.track.mean, long.track.mean, atol=0.5)


def test_truth_is_clipped_to_the_range() -> None:
    features, target = batch()
    output = trained(2).network(features)
    far, edge = (replace(target, nsdr=torch.full_like(target.nsdr, v)) for v in (500.0, 30.0))
    assert loss_of(output, far, LossConfig()).item() == loss_of(output, edge, LossConfig()).item()


def test_a_network_learns_to_tell_good_from_bad() -> None:
    """Estimates with 20 dB and 0 dB, in 30 steps."""
    wav = song(2, 8000, 2.0)
    made = []
    for gain in (0.1, 1.0):
        estimates = wav + gain * wav.flip(0)
        truth = truth_of(wav, estimates, wav.sum(0), 8000)
        rows = [truth[name].windows for name in ("level", "error", "active")]
        made.append((extract(wav.sum(0), estimates, 8000, BANDS), targets(*rows)))
    features = Features(
        planes=torch.stack([one.planes for one, _ in made]),
        energy=torch.stack([one.energy for one, _ in made]),
    )
    target = Targets(**{
        name: torch.stack([getattr(one, name) for _, one in made]) for name in
        ("nsdr", "active", "track_nsdr", "track_active", "mask")
    })  # fmt: skip
    assert target.track_nsdr[0].mean() == pytest.approx(20, abs=0.5)
    torch.manual_seed(0)
    network = QualityNetwork(["a", "b"], replace(SMALL, dropout=0.0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss_of(network(features), target, LossConfig()).backward()
        optimiser.step()
    network.eval()
    good, bad = network(features).track.mean.mean(1)
    assert good - bad > 10


def test_truth_knows_levels_errors_and_silence() -> None:
    stems = torch.zeros(3, 2, 3 * 1000)
    stems[0] = 0.5
    stems[1, :, :1000] = 0.1
    stems[2] = 0.5 * 10 ** (-45 / 20)  # more than 40 dB below the mixture
    estimates = stems.clone()
    estimates[0] += 0.05
    truth = truth_of(stems, estimates, stems.sum(0), 1000)
    assert truth["nsdr"].track[0] == pytest.approx(20, abs=1e-3)
    assert truth["level"].windows[0] == pytest.approx(20 * math.log10(0.5), abs=1e-6)
    assert truth["error"].track[0] == pytest.approx(20 * math.log10(0.05), abs=1e-4)
    assert truth["active"].windows.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert truth["active"].track.tolist() == [1, 1, 0]
    rows = [truth[name].windows for name in ("level", "error", "active")]
    found = targets(*rows)
    assert found.nsdr[0] == pytest.approx(torch.full((3,), 20.0), abs=1e-3)
    assert found.nsdr[1, 1:].isnan().all()
    assert found.track_nsdr[0] == pytest.approx(20, abs=1e-3)


def test_a_saved_network_predicts_the_same(tmp_path) -> None:
    network = trained(2)
    path = tmp_path / "quality.safetensors"
    digest = save_network(path, network)
    again = load_network(path)
    assert len(digest) == 64
    assert (again.factors, again.coverage, again.facts) == (
        network.factors, network.coverage, network.facts,
    )  # fmt: skip
    wav = song(2, 8000, 2.0)
    first, second = (predict(one, wav.sum(0), wav, 8000) for one in (network, again))
    assert first.to_dict() == second.to_dict()


def test_a_damaged_or_foreign_file_is_refused(tmp_path) -> None:
    path = tmp_path / "quality.safetensors"
    save_network(path, trained(2))
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[-5] ^= 1
    for name, content, words in (
        ("cut", data[:-100], "cannot be read"),
        ("flipped", bytes(flipped), "checksum"),
        ("described", data.replace(b'\\"coverage\\": 0.9', b'\\"coverage\\": 0.8'), "checksum"),
        ("foreign", data.replace(b"demucs-quality-1", b"demucs-quality-7"), "demucs-quality-7"),
        ("text", b"no network", "cannot be read"),
    ):
        other = tmp_path / f"{name}.safetensors"
        assert content != data
        other.write_bytes(content)
        with pytest.raises(ReleaseError, match=words):
            load_network(other)
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        load_network(tmp_path / "nowhere.safetensors")


def test_facts_have_to_be_json_and_weights_have_to_fit(tmp_path) -> None:
    with pytest.raises(ReleaseError, match="plain JSON"):
        save_network(tmp_path / "a", replace(trained(2), facts={"x": math.nan}))
    wrong = trained(2)
    wrong.network.config = replace(SMALL, hidden=9)
    save_network(tmp_path / "b.safetensors", wrong)
    with pytest.raises(ReleaseError, match="does not fit"):
        load_network(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "make",
    [
        lambda: QualityNetwork([]),
        lambda: QualityNetwork(["a", "a"]),
        lambda: NetworkConfig(bands=20),
        lambda: NetworkConfig(low=100.0, high=50.0),
        lambda: NetworkConfig(hidden=0),
        lambda: NetworkConfig(dropout=1.0),
        lambda: LossConfig(track=-1.0),
        lambda: LossConfig(low=30.0),
        lambda: predict(trained(2), torch.zeros(2, 100), torch.zeros(3, 2, 100), 8000),
        lambda: predict(trained(2), torch.zeros(2, 100), torch.zeros(2, 2, 99), 8000),
        lambda: predict(
            trained(2), torch.zeros(2, 9), torch.zeros(2, 2, 9), 8000, sources=["a", "b"]
        ),
    ],
)
def test_what_cannot_work_is_refused(make) -> None:
    with pytest.raises(ConfigError):
        make()


def test_the_default_network_is_small() -> None:
    network = QualityNetwork(["drums", "bass", "other", "vocals"])
    assert sum(one.numel() for one in network.parameters()) < 200_000


def judged(ratios: list[float]) -> Judged:
    """Of a song whose stems are so many scales off."""
    some = np.array(ratios)
    none = np.zeros((len(some), 0))
    return Judged(mean=np.zeros(len(some)), scale=np.ones(len(some)), truth=some,
                  playing=np.isfinite(some), active=np.ones(len(some)), windows=none,
                  truth_windows=none, loss=0.0)  # fmt: skip


def test_factors_count_songs_and_not_estimates() -> None:
    # Ten songs by three teachers, of which the last song is hard: 9 of 10 songs are 1 off.
    songs = [f"song{k}" for k in range(10) for _ in range(3)]
    some = [judged([50.0 if k == 9 else 1.0, float(k)]) for k in range(10) for _ in range(3)]
    assert factors(some, songs, 0.8) == (1.0, 8.0)
    # A coverage of 0.9 takes 9.9 of the 11 weights: the hard song too.
    assert factors(some, songs, 0.9) == (50.0, 9.0)


def test_factors_of_too_few_songs_are_infinite_however_many_teachers(tmp_path: Path) -> None:
    songs = [f"song{k}" for k in range(8) for _ in range(5)]
    some = [judged([1.0, np.nan]) for _ in songs]
    found = factors(some, songs, 0.9)
    assert found == (math.inf, math.inf)
    assert factors(some, songs, 0.8) == (1.0, 1.0)
    assert factors([judged([np.nan])], ["song"], 0.5) == (math.inf,)
    made = trained()
    path = tmp_path / "network.safetensors"
    save_network(path, replace(made, factors=(1.5, math.inf)))
    assert load_network(path).factors == (1.5, math.inf)
