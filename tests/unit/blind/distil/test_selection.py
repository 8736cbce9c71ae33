"""Which songs distillation keeps: by threshold, budget, chance and truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demucs.blind.distil.entry import Scored
from demucs.blind.distil.excerpts import Excerpt
from demucs.blind.distil.selection import WAYS, Budget, Candidate, Rule, select, value_of
from demucs.blind.quality import Quality
from demucs.errors import ConfigError
from tools.distil import WAYS as TOOL_WAYS

SONGS = [Candidate(f"s{k}", 60.0 * (1 + k % 2), value)
         for k, value in enumerate([5.0, 9.0, None, 7.0, 1.0, 9.0])]  # fmt: skip


def quality(sdr, active, spread=1.0):
    sdr, active = np.array(sdr, float), np.array(active, float)
    return Quality(
        sources=tuple("abc"[: len(sdr)]), window=1.0, sdr=sdr,
        low=sdr - spread * np.arange(len(sdr)), high=sdr, active=active,
        windows=sdr[:, None], active_windows=active[:, None],
    )  # fmt: skip


def scored(sdr=(), active=(), truth=None):
    return Scored(
        excerpt=Excerpt(0, 0, 1), quality=quality(sdr, active) if len(sdr) else None, truth=truth
    )


@pytest.mark.parametrize(
    ("text", "amount", "kind"),
    [
        ("10h", 36000, "seconds"), ("1.5h", 5400, "seconds"), ("90m", 5400, "seconds"),
        ("90min", 5400, "seconds"), ("30s", 30, "seconds"), ("50%", 0.5, "share"),
        ("100%", 1, "share"), ("200", 200, "songs"), (" 2 H ", 7200, "seconds"),
    ],
)  # fmt: skip
def test_budgets_are_hours_shares_or_songs(text: str, amount: float, kind: str) -> None:
    assert Budget.parse(text) == Budget(amount, kind)


@pytest.mark.parametrize(
    "text", ["", "0", "-3", "101%", "ten", "1.5", "5d", "h", "0h", "nan", "1e3"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give 10h"):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs --threshold DB or --budget"),
        ({"by": "oracle"}, "needs --threshold DB or --budget"),
        ({"by": "random"}, "needs --budget"),
        ({"by": "random", "threshold": 1.0, "budget": Budget(1, "songs")}, "no meaning"),
        ({"by": "all", "budget": Budget(1, "songs")}, "no meaning"),
        ({"by": "best", "threshold": 1.0}, "one of score, random"),
        ({"over": "max", "threshold": 1.0}, "one of min, mean"),
        ({"use": "high", "threshold": 1.0}, "one of sdr, low"),
        ({"threshold": float("nan")}, "number of dB"),
    ],
)
def test_rules_that_cannot_be_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Rule(**options)


def test_the_tool_knows_all_ways() -> None:
    assert tuple(WAYS) == TOOL_WAYS


@pytest.mark.parametrize(
    ("options", "kept", "threshold"),
    [
        ({"threshold": 7.0}, ["s1", "s5", "s3"], 7.0),
        ({"budget": Budget(2, "songs")}, ["s1", "s5"], 9.0),
        ({"budget": Budget(300, "seconds")}, ["s1", "s5", "s0"], 5.0),
        ({"budget": Budget(240, "seconds")}, ["s1", "s5"], 9.0),
        ({"budget": Budget(90, "seconds")}, ["s0"], 5.0),
        ({"budget": Budget(360, "seconds")}, ["s1", "s5", "s3"], 7.0),
        ({"budget": Budget(0.5, "share")}, ["s1", "s5"], 9.0),
        ({"budget": Budget(99, "songs")}, ["s1", "s5", "s3", "s0", "s4"], 1.0),
        ({"threshold": 6.0, "budget": Budget(99, "songs")}, ["s1", "s5", "s3"], 7.0),
        ({"threshold": 10.0}, [], 10.0),
        ({"by": "all"}, ["s0", "s1", "s2", "s3", "s4", "s5"], None),
    ],
)
def test_the_best_are_kept(options: dict, kept: list[str], threshold: float | None) -> None:
    found = select(SONGS, Rule(**options))
    assert (list(found.kept), found.threshold) == (kept, threshold)
    assert select(SONGS[::-1], Rule(**options)) == found


def test_chance_goes_by_the_seed_and_asks_for_no_value() -> None:
    budget = Budget(3, "songs")
    found = [set(select(SONGS, Rule(by="random", budget=budget, seed=k)).kept) for k in range(30)]
    assert found[0] == set(select(SONGS[::-1], Rule(by="random", budget=budget, seed=0)).kept)
    assert {len(one) for one in found} == {3}
    assert set().union(*found) == {song.name for song in SONGS}


@given(
    st.lists(st.tuples(st.floats(-20, 30), st.floats(1, 900)), min_size=1, max_size=20),
    st.floats(1, 5000),
)
def test_a_budget_is_never_exceeded_and_nothing_that_fits_is_left(
    songs: list[tuple[float, float]], seconds: float
) -> None:
    all_songs = [Candidate(f"{k:02}", length, value) for k, (value, length) in enumerate(songs)]
    by_name = {song.name: song for song in all_songs}
    found = select(all_songs, Rule(budget=Budget(seconds, "seconds")))
    kept = [by_name[name] for name in found.kept]
    assert sum(one.seconds for one in kept) <= seconds + 1e-3
    for one in all_songs:
        if one not in kept:  # there is no room beside those that are as good
            better = sum(other.seconds for other in kept if other.value >= one.value)
            assert better + one.seconds > seconds


def test_the_worst_stem_that_plays_decides() -> None:
    one = scored([5, 8, -9], [0.9, 0.6, 0.4])
    rule = {"threshold": 0.0}
    assert value_of(one, Rule(**rule)) == 5
    assert value_of(one, Rule(over="mean", **rule)) == 6.5
    assert value_of(scored([5, 5.5], [1, 1]), Rule(use="low", **rule)) == 4.5
    assert value_of(scored([5, 8], [0, 0]), Rule(**rule)) is None
    assert value_of(scored([5, np.nan], [1, 1]), Rule(**rule)) is None
    assert value_of(scored([5, np.nan], [1, np.nan]), Rule(**rule)) == 5
    assert value_of(scored(), Rule(**rule)) is None


def test_the_truth_decides_for_the_oracle_alone() -> None:
    one = scored([20, 20], [1, 1], {"nsdr": [3.0, -40.0], "level": [-20.0, -90.0]})
    assert value_of(one, Rule(by="oracle", threshold=0.0)) == 3
    assert value_of(one, Rule(threshold=0.0)) == 20
    assert value_of(scored([1], [1]), Rule(by="oracle", threshold=0.0)) is None
