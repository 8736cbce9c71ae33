"""The published class itself: its weights, in its own files, give its stems in our network."""

import pytest
import torch

from demucs.pretrained import get_model
from tools.convert import main as convert

STEMS = ["drums", "bass", "other", "vocals"]


@pytest.fixture(scope="module")
def there():
    """torchaudio's network with every part of it audible: at first, residual branches are not."""
    from torchaudio.models import hdemucs_high

    torch.manual_seed(0)
    model = hdemucs_high(sources=STEMS).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".scale"):
                weight.fill_(0.3)
    return model


def test_a_file_of_the_full_size_becomes_a_release_with_its_stems(there, tmp_path):
    name = "hdemucs_high_trained"
    torch.save(there.state_dict(), tmp_path / f"{name}.pt")
    read = get_model(name, tmp_path)
    options = [name, "--repo", str(tmp_path), "--to", "release", "--out", str(tmp_path / "out")]
    assert convert(options) == 0
    release = get_model(name, tmp_path / "out")
    mix = 0.1 * torch.randn(1, 2, 5 * 44100 + 77)  # more than the 200 steps of an LSTM's chunk
    with torch.no_grad():
        expected = there(mix)
        for model in (read, release):
            assert (model(mix) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert release.sources == STEMS
    assert (release.samplerate, release.audio_channels, release.segment) == (44100, 2, 44)
