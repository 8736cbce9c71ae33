"""The causes of low numbers, as one table: what each costs, its key, its source, and its rule.

docs/expectations.md shows the table, and a test holds the two together. Figures are of SDR on the
test songs of MUSDB18-HQ; they were measured on other networks than HDemucs where the source says
so, and do not simply add up.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from demucs.evaluation.results.published_rows import BAG, kind_of
from demucs.report.expect.evidence import Evidence, UnknownError

GROUP = 4  # songs that exchange stems, in the reference recipe
SEGMENT = {"htdemucs": 7.8}  # seconds, in the reference recipe ...
USUAL_SEGMENT = 11.0  # ... of the other networks
RISE = 5.0  # times the median penalty of the epochs before; usual ones stay within 2
SINGLES = {  # networks whose number in papers is a bag's: that, and the one to compare with
    "hdemucs": "7.64 and 7.68 dB are of bags; compare with 6.80 (measured, issue 493) and with "
    "6.8 to 7.0 (estimate)",
    "torch_hdemucs": "7.64 and 7.68 dB are of bags; compare with 6.80 (measured, issue 493) and "
    "with 6.8 to 7.0 (estimate)",
    "demucs": "7.27 dB is of a bag; compare with 6.83",
}
Finding = tuple[bool, str]  # whether the cause applies, and why


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a number is lower than the one it is compared with.

    Attributes:
        name: in a few words.
        decibels: what it costs, as text.
        estimate: nobody measured that.
        key: of the configuration or command that changes it.
        source: of `decibels`.
        rule: of a run's evidence, whether it applies, and why; raises `UnknownError` where the
            files do not say.
    """

    name: str
    decibels: str
    estimate: bool = False
    key: str
    source: str
    rule: Callable[[Evidence], Finding]

    @property
    def cost(self) -> str:
        """`decibels` with its unit, said to be an estimate where it is one."""
        unit = " dB" if self.decibels[-1].isdigit() else ""
        return f"{self.decibels}{unit}{' (estimate)' if self.estimate else ''}"


def origin(run: Evidence) -> str:
    """The experiment or release that it starts from; empty for random weights."""
    return str(run["continue_from"] or run["continue_pretrained"] or "")


def remix(run: Evidence) -> Finding:
    start = origin(run)
    if start:
        return False, f"it starts from {start}, and fine-tuning leaves it out"
    proba, group = run.number("augment.remix.proba"), run.number("augment.remix.group_size")
    if proba < 1:
        return True, f"augment.remix.proba={proba:g}"
    if group < GROUP:
        return True, f"augment.remix.group_size={group:g}"
    if run.is_ours is None:
        raise UnknownError("whether the public solver trained it")
    if run.is_ours and not run["semi.refresh"]:
        return False, "groups are formed over the epoch, whatever a process's share of the batch"
    batch, processes = run.number("batch_size"), run.processes
    if processes is None and batch >= GROUP:
        raise UnknownError(
            f"over how many processes batch_size={batch:g} was divided: more than "
            f"{batch // GROUP:g} break the groups"
        )
    share = batch // (processes or 1)
    return share < GROUP, f"{share:g} songs a process (batch_size={batch:g})"


def segment(run: Evidence) -> Finding:
    value = run.number("dset.segment")
    usual = SEGMENT.get(str(run["model"]), USUAL_SEGMENT)
    return value < usual, f"dset.segment={value:g} s, the reference recipe has {usual:g} s"


def against_a_bag(run: Evidence) -> Finding:
    if run.run.results is not None and kind_of(run.run.results.model) == BAG:
        return False, "the evaluation is of a bag itself"
    model = str(run["model"])
    return model in SINGLES, SINGLES.get(model, f"no bag is the usual number of {model}")


def fine_tuning(run: Evidence) -> Finding:
    start = origin(run)
    return not start, f"it starts from {start}" if start else "it starts from random weights"


def average(run: Evidence) -> Finding:
    if not run["ema.epoch"] and not run["ema.batch"]:
        return True, "ema.epoch and ema.batch are empty"
    if run["test.best"] is False:
        return True, "test.best=false evaluates the latest weights"
    best = run.best
    if best is None or not isinstance(best[1].get("bname"), str):
        raise UnknownError("which state was the best on the validation songs")
    name = best[1]["bname"]
    return name == "main", f"the best state is {name}, of epoch {best[0]}"


def penalty_rises(run: Evidence) -> Finding:
    values = run.penalties()
    if not values:
        if not run.run.history and run.number("svd.penalty") > 0:
            raise UnknownError("any penalty: there is no epoch yet")
        return False, "no penalty in its history"
    for index in range(2, len(values)):
        usual = median(values[:index])
        if math.isinf(values[index]) or values[index] > RISE * usual:
            return True, f"{values[index]:.4g} in epoch {index + 1}, and {usual:.4g} before"
    if any(map(math.isinf, values)):
        return True, "it is not a finite number"
    return False, f"it stays between {min(values):.4g} and {max(values):.4g}"


def no_penalty(run: Evidence) -> Finding:
    value = run.number("svd.penalty")
    return value == 0, f"svd.penalty={value:g}"


def repitch(run: Evidence) -> Finding:
    start = origin(run)
    if start:
        return False, f"it starts from {start}, and fine-tuning leaves it out"
    value = run.number("augment.repitch.proba")
    return value == 0, f"augment.repitch.proba={value:g}"


def shifts(run: Evidence) -> Finding:
    if run.run.results is not None:
        settings = run.run.results.settings
        count, overlap, which = settings.get("shifts"), settings.get("overlap"), "evaluated with"
        if not isinstance(count, int):
            raise UnknownError("shifts of the evaluation")
    else:
        count, overlap = int(run.number("test.shifts")), run.number("test.overlap")
        which = "not evaluated by itself; training tests with"
    return count < 2 or overlap == 0, f"{which} shifts={count}, overlap={overlap}"


def best_by_loss(run: Evidence) -> Finding:
    metric = run["test.metric"]
    return metric == "loss", f"test.metric={metric}"


def only_nsdr(run: Evidence) -> Finding:
    if run.sdr is not None:
        return False, "its evaluation has SDR"
    if run.run.results is None and not run.run.history:
        raise UnknownError("any number")
    return True, "its files have nSDR, and no SDR of an evaluation"


def one_seed(run: Evidence) -> Finding:
    return True, "one run is one seed"


CAUSES = (
    Cause(name="the penalty on singular values explodes", decibels="everything",
          key="optim.lr, optim.clip_grad, svd.penalty", rule=penalty_rises,
          source="facebookresearch/demucs issue 354"),
    Cause(name="nSDR is read as SDR", decibels="another scale",
          key="python3 -m tools.test_pretrained --metrics nsdr sdr", rule=only_nsdr,
          source="their definitions (docs/evaluating.md)"),
    Cause(name="remix is missing, or fewer than 4 songs a process break its groups",
          decibels="0.7", key="augment.remix, batch_size", rule=remix,
          source="arXiv:2211.08553, table 3 (HTDemucs without remix: 8.00 for 8.70)"),
    Cause(name="short segments", decibels="0.6", key="dset.segment", rule=segment,
          source="arXiv:2211.08553, table 2 (HTDemucs, 3.4 s for 7.8 s: 8.17 for 8.70 and 8.12 for "
          "8.80)"),
    Cause(name="one network is compared with a bag", decibels="0.2–0.5", estimate=True,
          key="python3 -m tools.compare --published", rule=against_a_bag,
          source="estimate; arXiv:2111.03600v3, tables 6 and 7 (6.83 for 7.27 with fine-tuning)"),
    Cause(name="no fine-tuning on automixes", decibels="0.3",
          key="continue_from, variant=finetune, dset.wav", rule=fine_tuning,
          source="arXiv:2111.03600v3 (0.28)"),
    Cause(name="no moving average of the weights is evaluated", decibels="0.2",
          key="ema.epoch, ema.batch, test.best", rule=average,
          source="arXiv:2111.03600v3, table 7 (6.63 for 6.83, time-domain network)"),
    Cause(name="no penalty on singular values", decibels="0.1 dB (vocals 0.7 dB)",
          key="svd=base svd.penalty", rule=no_penalty, source="arXiv:2111.03600v3"),
    Cause(name="evaluated without shifts or overlap", decibels="0.1", estimate=True,
          key="test.shifts, --shifts, --overlap", rule=shifts, source="estimate"),
    Cause(name="no repitch", decibels="0.05", key="augment.repitch.proba", rule=repitch,
          source="arXiv:2211.08553, table 3 (HTDemucs: 8.65 for 8.70)"),
    Cause(name="the best epoch is chosen by loss", decibels="not measured apart",
          key="test.metric=sdr", rule=best_by_loss,
          source="arXiv:2603.09187 (choosing by SDR is at least as good)"),
    Cause(name="the seed", decibels="±0.1–0.3 dB (standard deviation)", key="seed", rule=one_seed,
          source="arXiv:2603.09187 (three seeds: 0.3 vocals, 0.2 bass, 0.1 others)"),
)  # fmt: skip
