"""What spectrograms show, and what they say where audio is missing or unlike."""

import numpy as np
import pytest
import soundfile

from tests.unit.graphing import call

import _audio  # isort: skip
import spectrograms  # isort: skip

RATE = 8000


def tone(hertz, seconds=0.5, rate=RATE, channels=2):
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    stems = {"drums": tone(200), "vocals": tone(1000)}
    for name, audio in stems.items():
        soundfile.write(tmp_path / f"{name}_reference.wav", audio, RATE)
        soundfile.write(tmp_path / f"{name}_estimate.wav", 0.9 * audio, RATE)
    soundfile.write(tmp_path / "mixture.wav", sum(stems.values()), RATE)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """Words of the figures that a call would have written."""
    words = []

    def keep(figure, folder, name):
        words.extend(axes.get_title() for axes in figure.axes)
        words.extend(text.get_text() for axes in figure.axes for text in axes.texts)
        words.extend([figure.get_supxlabel()])

    monkeypatch.setattr(spectrograms, "save", keep)
    return words


@pytest.mark.parametrize("hertz", [60, 440, 3000])
def test_a_tone_is_loudest_in_its_own_band(hertz):
    power, edges = _audio.spectrogram(tone(hertz, 1.0, 44100), 44100)
    loudest = int(power.mean(1).argmax())
    assert edges[loudest] / 1.12 < hertz < edges[loudest + 1] * 1.12
    assert np.isclose(edges[[0, -1]], [_audio.LOWEST, 22050]).all()


def test_nsdr_is_that_of_the_evaluation():
    torch = pytest.importorskip("torch")
    from demucs.evaluation.metrics.nsdr import nsdr

    rng = np.random.default_rng(0)
    truth, guess = rng.standard_normal((2, 500, 2)).astype(np.float32)
    theirs = nsdr(*(torch.from_numpy(one.T)[None, None] for one in (truth, guess)))
    assert _audio.nsdr(truth, guess) == pytest.approx(float(theirs), abs=1e-5)
    assert _audio.nsdr(0 * truth, guess) is None


def test_files_are_written(folder):
    assert call(spectrograms, folder, "--out", folder / "out") == 0
    for suffix in ("png", "svg"):
        assert (folder / "out" / f"spectrograms.{suffix}").stat().st_size > 5000


def test_titles_have_the_nsdr(folder, drawn):
    assert call(spectrograms, folder) == 0
    assert "drums: error, nSDR 20.00 dB" in drawn
    assert {"mixture", "sum of the estimates", "vocals: reference"} <= set(drawn)


def test_the_layout_of_demucs_and_musdb(folder, tmp_path, drawn):
    for kind in ("estimate", "reference"):
        (tmp_path / kind).mkdir()
        for path in folder.glob(f"*_{kind}.wav"):
            path.rename(tmp_path / kind / path.name.replace(f"_{kind}", ""))
    common = ["--mixture", folder / "mixture.wav", "--estimates", tmp_path / "estimate"]
    assert call(spectrograms, *common, "--references", tmp_path / "reference") == 0
    assert "vocals: error, nSDR 20.00 dB" in drawn
    drawn.clear()
    assert call(spectrograms, *common, "--start", "0.1", "--seconds", "0.2") == 0
    assert [word for word in drawn if word] == ["mixture", "drums: estimate", "vocals: estimate"]


def test_missing_silent_and_unlike_stems_are_told(folder, drawn):
    (folder / "drums_estimate.wav").unlink()
    soundfile.write(folder / "vocals_reference.wav", 0 * tone(1000), RATE)
    soundfile.write(folder / "vocals_estimate.wav", tone(1000, 0.4, channels=1), RATE)
    assert call(spectrograms, folder) == 0
    assert {"no estimate of drums", "no error without both", "silent"} <= set(drawn)
    assert "vocals: error, silent reference, no nSDR" in drawn
    assert "the estimate 0.40 s with 1 channel(s)" in drawn[-1]


def test_an_unreadable_stem_leaves_the_others(folder, drawn, capsys):
    (folder / "drums_estimate.wav").write_bytes(b"no audio")
    soundfile.write(folder / "vocals_reference.wav", tone(1000, rate=4000), 4000)
    assert call(spectrograms, folder) == 1
    told = capsys.readouterr().err
    assert "drums_estimate.wav cannot be read as audio" in told
    assert "vocals_reference.wav has 4000 Hz, and the mixture 8000" in told
    assert {"drums: reference", "vocals: estimate", "no estimate of drums"} <= set(drawn)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "mixture.wav").unlink(), "has no mixture.wav"),
        (lambda folder: (folder / "mixture.wav").write_bytes(b"x"), "cannot be read as audio"),
        (lambda folder: [one.unlink() for one in folder.glob("*_estimate*")], "has no estimates"),
        (lambda folder: [path.unlink() for path in folder.iterdir()] and folder.rmdir(),
         "not a folder"),
        (lambda folder: soundfile.write(folder / "mixture.wav", np.full((9, 2), np.nan), RATE,
                                        subtype="FLOAT"), "not numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_ends_with_a_message(folder, spoil, message, capsys):
    spoil(folder)
    assert call(spectrograms, folder) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--start", "-1"], ["--seconds", "0"], ["--mixture", "x"]])
def test_wrong_options(folder, more):
    given = more if "--mixture" in more else [folder, *more]
    assert call(spectrograms, *given) == 2


def test_a_start_after_the_end(folder, capsys):
    assert call(spectrograms, folder, "--start", "7") == 1
    assert "ends after 0.50 s, before --start 7" in capsys.readouterr().err
