"""Training for few bits: what is learnt, what is judged, and what is refused."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_support import SOURCES, plain_config, same, tiny_config
from training_world import in_processes

from demucs.errors import ConfigError
from demucs.nn import build_model
from demucs.training import ProcessGroup, read_config
from demucs.training.optim.ema import WeightAverage
from demucs.training.optim.quantise import Quantiser, judged, quantised_weights
from demucs.training.step import Step

DIFFQ = ("quant.diffq=1", "quant.min_size=0.0005")
QAT = ("quant.qat=3", "quant.min_size=0.0005")
WAYS = pytest.mark.parametrize("way", [DIFFQ, QAT], ids=["diffq", "qat"])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def _with_diffq() -> None:
    pytest.importorskip("diffq", reason="needs the package diffq: pip install '.[quant]'")


needs_diffq = pytest.mark.usefixtures("_with_diffq")


class Run:
    """A tiny model in training, as the solver builds it."""

    def __init__(self, *overrides: str, group: ProcessGroup | None = None) -> None:
        self.run = read_config(tiny_config(Path("songs"), *overrides))
        torch.manual_seed(0)
        self.model = build_model(self.run.spec)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.run.options.optim.lr)
        quant = self.run.options.quant
        self.quantiser = Quantiser(self.model, self.optimiser, quant) if quant.method else None
        wrapped = (group or ProcessGroup()).wrap(self.model)
        self.step = Step(
            wrapped, self.model, self.optimiser, self.run.options, SOURCES, self.quantiser
        )
        self.average = WeightAverage(0.5)

    def trained(self, first: int, last: int) -> list[dict[str, float]]:
        self.model.train()
        found = []
        for batch in range(first, last):
            found.append(self.step(stems(batch), 0, batch))
            self.average.update(self.model)
        return found

    def captured(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimiser": self.optimiser, "average": self.average}
        return {name: clone(part.state_dict()) for name, part in parts.items()}

    def restore(self, captured: dict[str, Any]) -> None:
        self.model.load_state_dict(captured["model"])
        self.optimiser.load_state_dict(captured["optimiser"])
        self.average.load_state_dict(captured["average"])


def stems(seed: int = 0) -> Tensor:
    """`[4, 4, 2, 4000]`."""
    return 0.1 * torch.randn(4, 4, 2, 4000, generator=torch.Generator().manual_seed(seed))


def clone(one: Any) -> Any:
    if isinstance(one, Tensor):
        return one.detach().clone()
    if isinstance(one, dict):
        return {key: clone(value) for key, value in one.items()}
    return [clone(value) for value in one] if isinstance(one, list) else one


def gradient(run: Run) -> Tensor:
    """Of all weights, one after the other."""
    return torch.cat([one.grad.flatten() for one in run.model.parameters()])


@needs_diffq
@WAYS
def test_training_sees_other_weights_than_it_updates(way: tuple[str, ...]) -> None:
    plain, run = Run(), Run(*way)
    (without,), (trained,) = plain.trained(0, 1), run.trained(0, 1)
    assert trained["reco"] != without["reco"]
    assert trained["reco"] == pytest.approx(without["reco"], rel=0.2)
    names = dict(run.model.named_parameters())
    assert all(type(names[name]) is nn.Parameter for name in names)
    pairs = [(names[name], one) for name, one in plain.model.named_parameters()]
    moved = [(found - usual).detach().abs().max() for found, usual in pairs]
    assert float(torch.stack(moved).max()) < 1e-2  # neither noise nor rounding stays in them


@needs_diffq
def test_diffq_learns_its_bits_and_the_size_is_in_the_loss() -> None:
    run = Run("quant.diffq=1", "quant.min_size=0.0005", "optim.lr=1e-6")
    assert run.quantiser is not None
    rates = [group["lr"] for group in run.optimiser.param_groups]
    assert rates == [1e-6, 1e-3]
    found = run.trained(0, 4)
    sizes = [one["ms"] for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    for one in found:
        assert one["loss"] == pytest.approx(one["reco"] + one["ms"], rel=1e-6)
    assert run.quantiser.true_size() == pytest.approx(sizes[-1], rel=0.02)


@needs_diffq
def test_the_size_is_that_of_the_bits() -> None:
    run = Run(*QAT)
    assert run.quantiser is not None
    weights = dict(run.model.named_parameters())
    few = quantised_weights(run.model, 0.0005)
    assert 5 < len(few) < len(weights)
    bits = sum((3 if name in few else 32) * one.numel() for name, one in weights.items())
    megabytes = (bits + 64 * len(few)) / 8 / 2**20  # and the range of each weight
    assert run.quantiser.true_size() == pytest.approx(megabytes, rel=1e-5)
    (found,) = run.trained(0, 1)
    assert found["ms"] == pytest.approx(megabytes, rel=1e-5)
    assert found["loss"] == found["reco"]


@needs_diffq
@WAYS
def test_what_is_judged_is_an_ordinary_model_on_the_grid(way: tuple[str, ...]) -> None:
    run = Run(*way)
    assert run.quantiser is not None
    run.trained(0, 2)
    before = run.captured()["model"]
    weights = run.quantiser.quantised()
    assert same(run.captured()["model"], before)
    ordinary = build_model(run.run.spec)
    ordinary.load_state_dict(weights)  # no key too many or too few
    few = quantised_weights(ordinary, 0.0005)
    for name, value in ordinary.named_parameters():
        if name not in few:
            assert torch.equal(value, before[name])
        elif way is QAT:
            low, step = before[name].min(), (before[name].max() - before[name].min()) / 7
            levels = (value.detach() - low) / step
            assert torch.allclose(levels, levels.round(), atol=1e-4)
            assert 2 < len(value.unique()) <= 8
            assert float((value - before[name]).detach().abs().max()) <= float(step) * 0.5001
    mix = stems().sum(1)
    with judged(run.model, None, run.quantiser) as model, torch.no_grad():
        heard = model.eval()(mix)
        assert torch.equal(heard, ordinary.eval()(mix))
        # nor does the package itself hear anything else
        assert torch.equal(heard, run.model.eval()(mix))


@needs_diffq
@WAYS
def test_an_average_has_bits_of_its_own_and_is_quantised_after(way: tuple[str, ...]) -> None:
    run = Run(*way)
    assert run.quantiser is not None
    run.trained(0, 3)
    before = run.captured()
    weights = run.quantiser.quantised(run.average.state)
    assert same(run.captured(), before)
    assert not same(weights, run.quantiser.quantised())
    fresh = Run(*way)
    assert fresh.quantiser is not None
    fresh.model.load_state_dict(run.average.state)
    assert same(fresh.quantiser.quantised(), weights)
    assert fresh.quantiser.true_size() == run.quantiser.true_size(run.average.state)
    if way is DIFFQ:
        bits = [name for name in run.average.state if name.endswith("_diffq")]
        assert len(bits) == len(quantised_weights(build_model(run.run.spec), 0.0005))


@needs_diffq
@WAYS
def test_the_best_is_not_quantised_twice(way: tuple[str, ...]) -> None:
    run = Run(*way)
    assert run.quantiser is not None
    run.trained(0, 1)
    best = run.quantiser.quantised()
    run.trained(1, 2)
    with judged(run.model, best, run.quantiser, final=True) as model:
        assert same(dict(model.state_dict()), best)


def test_without_quantisation_the_model_itself_is_judged() -> None:
    run = Run()
    run.trained(0, 1)
    own = run.captured()["model"]
    other = {name: torch.zeros_like(value) for name, value in own.items()}
    with judged(run.model) as model:
        assert model is run.model
    with judged(run.model, other) as model:
        assert model is run.model
        assert same(dict(model.state_dict()), other)
    assert same(run.captured()["model"], own)


@needs_diffq
@WAYS
def test_resumed_at_a_step_is_the_undisturbed_run(way: tuple[str, ...]) -> None:
    whole = Run(*way, "micro_batch=2")
    losses = whole.trained(0, 4)
    parts = Run(*way, "micro_batch=2")
    parts.trained(0, 2)
    torch.manual_seed(999)  # whatever happened since
    assert parts.quantiser is not None
    parts.quantiser.quantised()
    resumed = Run(*way, "micro_batch=2")
    resumed.restore(parts.captured())
    assert resumed.trained(2, 4) == losses[2:]
    assert same(resumed.captured(), whole.captured())


@needs_diffq
def test_noise_belongs_to_the_step() -> None:
    def heard(batch: int) -> float:
        return Run(*DIFFQ).step(stems(), 0, batch)["reco"]

    assert heard(0) == heard(0)
    assert heard(0) != heard(1)


@needs_diffq
@WAYS
def test_two_processes_take_the_step_of_one(way: tuple[str, ...]) -> None:
    def work(group: ProcessGroup) -> None:
        run = Run(*way, group=group)
        alone = Run(*way)
        alone.step(stems(), 0, 0)
        run.step(stems().chunk(2)[group.rank], 0, 0)
        error = (gradient(run) - gradient(alone)).norm() / gradient(alone).norm()
        assert float(error) < 1e-4
        first, second = group.gathered(clone(dict(run.model.state_dict())))
        assert same(first, second)

    in_processes(2, work)


@needs_diffq
def test_sixteen_bits_in_the_layers_change_little() -> None:
    (full,), (half,) = Run(*DIFFQ).trained(0, 1), Run(*DIFFQ, "precision=bf16").trained(0, 1)
    assert half["reco"] == pytest.approx(full["reco"], rel=0.02)
    assert half["ms"] == full["ms"]


@needs_diffq
def test_the_log_says_what_is_quantised(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Run(*QAT)
    assert "quant.qat=3: 25 weights are quantised; 0.02 MB, of 0.12 MB in 32 bits" in caplog.text


@needs_diffq
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["quant.qat=8", "quant.min_size=1000"], r"quant.min_size=1000.0 MB: no weight.*largest"),
        (["quant.diffq=1", "quant.group_size=7"], r"group_size=7 does not divide the \d+ numbers"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(plain_config("model=hdemucs", *overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["quant.diffq=1e-4", "quant.qat=8"], r"quant.diffq=0.0001 and quant.qat=8.*keep one"),
        (["quant.diffq=-1"], r"quant.diffq=-1.0 must not be negative"),
        (["quant.qat=16"], r"quant.qat=16 bits: give 1 to 15"),
        (["quant.qat=8.5"], r"quant.qat=8.5 must be of type int"),
        (["quant.min_size=-1"], r"quant.min_size=-1.0 MB"),
        (["quant.group_size=0"], r"quant.group_size=0"),
        (["quant.qat=8", "compile=true"], r"compile=true does not go with quant.qat=8"),
    ],
)
def test_values_that_cannot_work_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(plain_config("model=hdemucs", *overrides))


def test_keys_of_value_zero_are_not_set() -> None:
    run = read_config(plain_config("model=hdemucs", "quant.diffq=0", "quant.qat=0"))
    assert run.options.quant.method is None


@pytest.mark.parametrize("key", ["diffq=0.0001", "qat=8"])
def test_without_the_package_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setitem(sys.modules, "diffq", None)  # what import then says is that there is none
    with pytest.raises(ConfigError, match=rf"quant.{key} needs the package.*pip install diffq"):
        read_config(plain_config("model=hdemucs", f"quant.{key}"))
