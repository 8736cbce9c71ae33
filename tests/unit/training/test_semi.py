"""Semi-supervised training: its losses, its variants on a tiny model, and what is refused."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from distilled_support import write_distilled
from training_support import same, tiny_config, write_songs

from demucs.data.batch import Batch
from demucs.errors import ConfigError, DatasetError, DemucsError
from demucs.nn import build_model
from demucs.release import SUFFIX, ReleaseInfo, save_release
from demucs.release.checkpoint import NAME
from demucs.training import Solver, check_start, find_songs, load_checkpoint, read_config
from demucs.training.losses import batch_losses, stem_losses
from demucs.training.stages.refresh import judge_teacher

SIZE = (5, 3, 2, 40)  # [B, S, C, T]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), train=3, valid=1)


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_distilled(tmp_path_factory.mktemp("distilled"))


def solver(songs: Path, folder: Path, *overrides: str) -> Solver:
    run = read_config(tiny_config(songs, *overrides))
    check_start(run, folder)
    return Solver(run, find_songs(run), folder=folder, signature=folder.name)


def content_of(folder: Path) -> dict[str, Any]:
    content = load_checkpoint(folder / NAME)
    content["history"] = [
        {k: v for k, v in epoch.items() if k != "seconds"} for epoch in content["history"]
    ]
    return {k: v for k, v in content.items() if k not in ("signature", "config")}


@pytest.mark.parametrize("kind", ["l1", "mse"])
def test_the_loss_of_a_batch_is_the_formula(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    estimates = torch.randn(SIZE, generator=generator, requires_grad=True)
    stems = torch.randn(SIZE, generator=generator)
    weights = torch.rand(SIZE[:2], generator=generator)
    certified = torch.tensor([-1, 2, -1, 0, 1])
    batch = Batch(stems, weights, certified)
    found = batch_losses(estimates, batch, kind, rest=0.7)

    def size(wav: torch.Tensor) -> torch.Tensor:
        return (wav.abs() if kind == "l1" else wav**2).mean()

    expected = torch.zeros(())
    for b in range(SIZE[0]):
        known = int(certified[b])
        rest = sum(estimates[b, s] - stems[b, s] for s in range(SIZE[1]) if s != known)
        for s in range(SIZE[1]):
            if known in (-1, s):
                one = size(estimates[b, s] - stems[b, s])
            else:
                assert isinstance(rest, torch.Tensor)
                one = 0.7 * size(rest) / 2  # the two other stems share it
            expected = expected + weights[b, s] * one / SIZE[0]
    assert float(found.sum()) == pytest.approx(float(expected), rel=1e-5)
    ours, plain = (
        torch.autograd.grad(loss, estimates, retain_graph=True)[0]
        for loss in (found.sum(), expected)
    )
    assert torch.allclose(ours, plain, atol=1e-7)
    parts = zip(estimates.split(2), batch.split(2), strict=True)
    sums = [len(part.stems) * batch_losses(some, part, kind, 0.7) for some, part in parts]
    assert torch.allclose(torch.stack(sums).sum(0) / SIZE[0], found, atol=1e-6)


def test_where_all_is_certain_it_is_the_supervised_loss() -> None:
    estimates, stems = torch.randn(SIZE), torch.randn(SIZE)
    expected = stem_losses(estimates, stems)
    assert torch.equal(batch_losses(estimates, Batch(stems), "l1"), expected)
    ones = Batch(stems, torch.ones(SIZE[:2]), torch.full(SIZE[:1], -1))
    assert torch.allclose(batch_losses(estimates, ones, "l1"), expected, atol=1e-6)


@pytest.mark.parametrize("variant", ["plain", "weighted", "truncated", "silence"])
def test_each_variant_trains_and_goes_on_bit_for_bit(
    songs: Path, distilled: Path, tmp_path: Path, variant: str, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = (f"semi={variant}", f"semi.folder={distilled}", "epochs=2", "max_batches=2")
    with caplog.at_level(logging.INFO, "demucs"):
        whole = solver(songs, tmp_path / "whole", *overrides)
    assert "3 labelled and 2 pseudo-labelled tracks" in caplog.text
    whole.train()
    solver(songs, tmp_path / "parts", *overrides).run_epoch()
    solver(songs, tmp_path / "parts", *overrides).train()
    found = content_of(tmp_path / "whole")
    assert same(found, content_of(tmp_path / "parts"))
    assert found["data"]["tracks"] == {"train": 3, "valid": 1, "test": 0, "pseudo": 2}
    assert len(found["data"]["songs"]) == 3  # train0 and train1 are in both, of one length
    assert "teacher" not in found


def test_quality_and_micro_batches_enter_the_gradient(
    songs: Path, distilled: Path, tmp_path: Path
) -> None:
    """Drums are worth 0 dB: by weight they count in labelled examples alone."""
    losses = {}
    for variant in ("plain", "weighted", "truncated"):
        for micro in ("null", "1"):
            overrides = (f"semi={variant}", f"semi.folder={distilled}", f"micro_batch={micro}")
            trained = solver(songs, tmp_path, *overrides, "semi.floor=0.5")
            batch = Batch.stack([trained.songs.training[0, place] for place in (0, 1)])  # type: ignore[misc]
            losses[variant, micro] = trained.state.step(batch, 0, 0)
    for variant in ("plain", "weighted", "truncated"):
        whole, parts = losses[variant, "null"], losses[variant, "1"]
        assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert parts["grad"] == pytest.approx(whole["grad"], rel=1e-4)
    plain, weighted, truncated = (
        losses[variant, "null"] for variant in ("plain", "weighted", "truncated")
    )
    assert truncated["reco_drums"] < plain["reco_drums"]
    assert weighted["reco_drums"] == truncated["reco_drums"]
    assert truncated["reco_bass"] == plain["reco_bass"]
    assert weighted["reco_bass"] < plain["reco_bass"]
    assert weighted["reco_vocals"] == plain["reco_vocals"]


def release(repo: Path, songs: Path, *overrides: str) -> str:
    run = read_config(tiny_config(songs, *overrides))
    torch.manual_seed(3)
    info = ReleaseInfo(signature="aaaa1111", spec=run.spec, config=run.plain, provenance={})
    save_release(repo / f"aaaa1111{SUFFIX}", build_model(run.spec).state_dict(), info)
    return "aaaa1111"


@pytest.mark.long
def test_a_refreshed_teacher_is_replaced_and_goes_on_bit_for_bit(
    songs: Path, distilled: Path, tmp_path: Path
) -> None:
    name = release(tmp_path / "repo", songs, "hdemucs.channels=6")  # another model than the student
    overrides = (
        "semi=refresh", f"semi.folder={distilled}", f"semi.teacher={name}", "batch_size=4",
        f"semi.teacher_repo={tmp_path / 'repo'}", "epochs=3", "optim.lr=3e-3",
        "max_batches=4", "ema.batch=[0.5]",
    )  # fmt: skip
    whole = solver(songs, tmp_path / "whole", *overrides)
    teacher = whole.state.teacher
    assert teacher is not None
    first = teacher.model
    whole.train()
    for _ in range(3):  # after the measurement of the teacher, and after each epoch
        parts = solver(songs, tmp_path / "parts", *overrides)
        if parts.state.epoch == 0:
            assert judge_teacher(parts.context)
        parts.run_epoch()
    assert same(content_of(tmp_path / "whole"), content_of(tmp_path / "parts"))
    history = [epoch["valid"] for epoch in whole.state.history]
    refreshed = [epoch["refreshed"] for epoch in history]
    assert 1 in refreshed
    assert teacher.model is not first
    for before, after in pairwise(history):
        value = before["best"] if before["refreshed"] else before["teacher"]
        assert after["teacher"] == value
        assert before["refreshed"] == (before["best"] < before["teacher"])
    best = whole.state.best
    assert best is not None
    assert teacher.metric == best.metric
    assert same(dict(teacher.model.state_dict()), best.state)


def test_labels_are_the_teachers_estimates_and_depend_on_the_step_alone(
    songs: Path, distilled: Path, tmp_path: Path
) -> None:
    start = tmp_path / "xps"
    solver(songs, start / "11112222", "epochs=1", "max_batches=1").train()
    trained = solver(
        songs, start / "new", "semi=refresh", f"semi.folder={distilled}",
        "continue_from=11112222", "augment.flip=false", "augment.scale.proba=0",
        "augment.remix.proba=0",
    )  # fmt: skip
    teacher, data = trained.state.teacher, trained.songs.training
    assert teacher is not None
    assert teacher.origin == "the weights that the student started from"
    batch = Batch.stack([data[0, place] for place in range(4)])  # type: ignore[misc]
    options = {"first": 0, "size": 3, "autocast": trained.state.step.precision.autocast()}
    found = teacher.label(batch, place=5, **options)  # type: ignore[arg-type]
    assert batch.unlabelled is not None
    assert batch.unlabelled.tolist() == [False, True, False, True]
    assert torch.equal(found.stems[::2], batch.stems[::2])
    with torch.no_grad():
        expected = teacher.model(batch.stems[1::2].sum(1))
    assert torch.allclose(found.stems[1::2], expected, atol=1e-5)
    again = solver(songs, start / "new2", "semi=refresh", f"semi.folder={distilled}",
                   "continue_from=11112222").state.teacher  # fmt: skip
    assert again is not None
    one, other, third = (
        again.label(batch, place=place, **options).stems
        for place in (5, 5, 6)  # type: ignore[arg-type]
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["semi.ratio=1"], ["semi.ratio=1"]),
        (["semi.ratio=0"], ["semi.ratio=0"]),
        (["semi.loss=best"], ["semi.loss=best", "truncate"]),
        (["semi.floor=10"], ["semi.floor=10", "semi.full=10"]),
        (["semi.silence=0.6"], ["semi.silence=0.6", "semi.ratio=0.5"]),
        (["semi.silence_below=0"], ["semi.silence_below=0"]),
        (["semi.silence_weight=-1"], ["semi.silence_weight=-1"]),
        (["semi=refresh", "semi.loss=weight"], ["semi.loss=weight", "semi.loss=plain"]),
        (["semi.teacher=x"], ["semi.teacher=x", "semi.refresh=true"]),
        (["semi=refresh"], ["semi.teacher=NAME", "continue_from"]),
    ],
)
def test_what_cannot_work_is_refused(songs: Path, overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(tiny_config(songs, *overrides))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (["dset.sources=[a,b]", "weights=[1,1]"], ["stems a, b", "drums, bass, other, vocals"]),
        (["dset.sources=[bass,drums,other,vocals]"], ["dset.sources=[bass,drums,other,vocals]"]),
        (["dset.samplerate=4000", "dset.musdb_samplerate=4000"], ["4000", "8000"]),
    ],
)
def test_a_teacher_of_another_kind_is_refused(
    songs: Path, tmp_path: Path, made: list[str], words: list[str]
) -> None:
    name = release(tmp_path, songs, *made)
    overrides = ("semi=refresh", f"semi.teacher={name}", f"semi.teacher_repo={tmp_path}")
    run = read_config(tiny_config(songs, *overrides))
    with pytest.raises(DemucsError) as caught:
        check_start(run, tmp_path / "new")
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_set_of_other_stems_is_refused_with_both_names(songs: Path, tmp_path: Path) -> None:
    folder = write_distilled(tmp_path)
    for path in folder.glob("train/*/distilled.json"):
        path.write_text(path.read_text().replace("drums", "beat"))
    run = read_config(tiny_config(songs, "semi=plain", f"semi.folder={folder}"))
    with pytest.raises(DatasetError, match=r"stems are beat, bass.*dset\.sources are drums, bass"):
        find_songs(run)


def test_weights_want_predicted_quality(songs: Path, distilled: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(distilled, raw)
    for path in raw.glob("train/*/distilled.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "judge": {"kind": "score", "by": "polarity"}}))
    for kind in ("weight", "truncate"):
        plain = tiny_config(songs, f"semi.folder={raw}", f"semi.loss={kind}")
        with pytest.raises(ConfigError, match=r"raw scores: distil with --calibration"):
            find_songs(read_config(plain))
    find_songs(read_config(tiny_config(songs, f"semi.folder={raw}")))
