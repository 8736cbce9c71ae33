"""Resuming with songs that were added, removed or changed since the checkpoint was written."""

from typing import Any

from demucs.data.changes import Change, Summary, changes, joined
from demucs.errors import DatasetError
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.state import TrainingState


def check_same_songs(data: Summary, group: ProcessGroup) -> None:
    """Refuses a run whose processes do not all find the same songs, which would hang later.

    Args:
        data: `Songs.summary()` of this process.
        group: all processes; each of them has to call this.

    Raises:
        DatasetError: in all processes; says how the songs differ.
    """
    everyone = group.gathered(dict(data))
    for rank, other in enumerate(everyone):
        different = changes(everyone[0], other)
        if different:
            raise DatasetError(
                f"process {rank} finds other songs than process 0: {joined(different)}. Let all "
                "nodes read the same dataset: a shared folder, or complete copies"
            )


def fit_to_songs(state: TrainingState, before: Summary, now: Summary, batches: int) -> str | None:
    """Takes back of a restored `state` what does not hold for the songs that are there now.

    A position inside an epoch stands for other examples once a song to train on has changed, so
    the epoch is cut there: its training metrics are the means of the batches it had, and it is
    validated as it is. Measures of validation songs are discarded if one of these has changed, and
    the best state and the teacher are then measured again (`demucs.training.stages.refresh`).

    Args:
        state: just restored; changed in place, in the same way on all processes.
        before: `data` of its checkpoint; empty in old ones.
        now: `Songs.summary()`.
        batches: of an epoch, now.

    Returns:
        What changed and what follows, as one message; None if nothing did.
    """
    different = changes(before, now)
    notes = []
    trains_on = {"train", "pseudo"} & different.keys()
    if (trains_on and _is_inside(state)) or _is_beyond(state, batches):
        notes.append(_cut(state, batches))
    if "valid" in different:
        notes += _discard_validation(state)
    if "test" in different:
        _discard_tests(state, different["test"])
    if not different and not notes:
        return None
    songs = f"since the checkpoint the songs changed: {joined(different)}" if different else ""
    if different and "lists" not in before:
        songs += " (an older checkpoint: it does not name them)"
    return ". ".join(filter(None, [songs, *notes]))


def _is_inside(state: TrainingState) -> bool:
    return state.batch > 0 and "train" not in state.pending and "cut" not in state.pending


def _is_beyond(state: TrainingState, batches: int) -> bool:
    return _is_inside(state) and state.batch > batches


def _cut(state: TrainingState, batches: int) -> str:
    """Ends the training of the epoch where it is, or starts it again if no step of it counted."""
    number, done = state.epoch + 1, state.batch
    where = f"epoch {number} was stopped after {done} batches; the {batches} it has now are others"
    if not any(sums.get("#loss") for sums in state.sums):
        state.batch, state.sums = 0, []
        return f"{where}, so it begins again"
    state.pending["cut"] = done
    return (
        f"{where}, so it ends there, with the training metrics of those {done}, and epoch "
        f"{number + 1} is the first with the songs as they are now"
    )


def _discard_validation(state: TrainingState) -> list[str]:
    state.pending.pop("measures", None)
    if state.teacher is not None:
        state.teacher.metric = None
    if state.best is None:
        return []
    state.pending["judge_best"] = True
    return ["The best state is measured again on the validation songs as they are now"]


def _discard_tests(state: TrainingState, change: Change) -> None:
    """Drops results of an interrupted test; those of songs that stayed as they were are kept."""
    known = any(change.names.values())
    gone = {name for names in change.names.values() for name in names}
    tracks: dict[str, Any] = state.pending.get("tracks", {})
    for name in list(tracks):
        if name in gone or not known:
            del tracks[name]
