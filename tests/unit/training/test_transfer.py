"""Starting from other weights: what fits is taken, stems go by their names, the rest is said."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from demucs.errors import ConfigError
from demucs.nn import ModelSpec, build_model
from demucs.training.transfer import load_matching

FOUR = ("drums", "bass", "other", "vocals")
SIX = ("drums", "bass", "guitar", "other", "piano", "vocals")


def tiny(sources: Sequence[str], **kwargs: object) -> nn.Module:
    small = {"channels": 4, "nfft": 256, "depth": 4, "sources": list(sources), **kwargs}
    return build_model(ModelSpec(name="hdemucs", kwargs=small))


def outputs(model: nn.Module) -> dict[str, torch.Tensor]:
    """What the model makes of one noise, by stem."""
    mix = torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return dict(zip(model.sources, model.eval()(mix)[0], strict=True))  # type: ignore[arg-type]


def test_matching_weights_are_loaded_and_the_rest_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    state = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3), "1.weight": torch.ones(5, 3),
             "2.bias": torch.ones(1)}  # fmt: skip
    transfer = load_matching(model, state, "a run")
    assert transfer.loaded == ["0.weight", "0.bias"]
    assert transfer.reshaped == ["1.weight"]
    assert transfer.missing == ["1.bias"]
    assert transfer.unused == ["2.bias"]
    assert not transfer.complete
    assert "loaded 2 of 4 tensors; 1 of another shape (1.weight)" in transfer.report()
    assert torch.equal(model[0].weight, torch.ones(3, 2))


def test_nothing_to_load_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no weight of a run fits"):
        load_matching(nn.Linear(2, 2), {"other": torch.ones(1)}, "a run")


@pytest.mark.parametrize("kwargs", [{}, {"cac": False}, {"multi_freqs": [0.2, 0.5]}])
def test_a_model_of_more_stems_starts_with_what_the_old_ones_gave(kwargs: dict) -> None:
    torch.manual_seed(1)
    old, new = tiny(FOUR, **kwargs), tiny(SIX, **kwargs)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    transfer = load_matching(new, old.state_dict(), "a run", FOUR)
    assert (transfer.kept, transfer.new) == (list(FOUR), ["guitar", "piano"])
    assert not transfer.complete
    assert transfer.reshaped + transfer.missing + transfer.unused == []
    assert "new stems: guitar, piano" in transfer.report()
    was, now = outputs(old), outputs(new)
    for stem in FOUR:
        torch.testing.assert_close(now[stem], was[stem], rtol=1e-4, atol=1e-5)
    name = transfer.by_stem[0]
    axis = new.stem_axes()[name]  # type: ignore[operator]
    guitar = [one.chunk(6, axis)[2] for one in (before[name], new.state_dict()[name])]
    assert torch.equal(*guitar)  # a new stem keeps its random start


def test_the_same_stems_in_another_order_are_not_confused() -> None:
    old, new = tiny(FOUR), tiny(FOUR[::-1])
    transfer = load_matching(new, old.state_dict(), "a run", FOUR)
    assert not transfer.complete  # an optimiser's state would be of the other order
    was, now = outputs(old), outputs(new)
    for stem in FOUR:
        torch.testing.assert_close(now[stem], was[stem], rtol=1e-4, atol=1e-5)


def test_the_same_stems_in_the_same_order_are_a_complete_copy() -> None:
    old, new = tiny(FOUR), tiny(FOUR)
    assert load_matching(new, old.state_dict(), "a run", FOUR).complete
    states = zip(old.state_dict().values(), new.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in states)


def test_fewer_stems_leave_the_others_behind() -> None:
    transfer = load_matching(tiny(("vocals", "bass")), tiny(FOUR).state_dict(), "a run", FOUR)
    assert (transfer.kept, transfer.dropped) == (["vocals", "bass"], ["drums", "other"])
    assert "stems left behind: drums, other" in transfer.report()


def test_slices_of_another_shape_are_left_as_they_were() -> None:
    transfer = load_matching(tiny(SIX, channels_time=8), tiny(FOUR).state_dict(), "a run", FOUR)
    assert "decoder.3.conv_tr.weight" in transfer.by_stem
    assert "tdecoder.2.conv_tr.weight" in transfer.reshaped
