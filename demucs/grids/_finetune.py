"""Overrides of the fine-tuning that the papers do: one network for each source.

The network of a finished experiment is continued on songs without remix, repitch or scale, with
automixes of `tools.automix` among them, and with one source alone in the loss. The networks are
then a bag in which each gives its source (docs/finetuning.md).
"""

from collections.abc import Sequence

# Of arXiv:2111.03600, arXiv:2211.08553 and the public Demucs' grid `mmi_ft`. The crop is the same
# for all stems of an example: otherwise they would not be those of one song. The weight decay is
# decoupled from the gradient (AdamW): Adam would add it to the gradient, which is much smaller.
RECIPE = (
    "epochs=50",
    "optim.lr=0.0001",
    "optim.optim=adamw",
    "optim.weight_decay=0.05",
    "optim.clip_grad=5",
    "augment.remix.proba=0",
    "augment.repitch.proba=0",
    "augment.scale.proba=0",
    "augment.shift_same=true",
)


def continued(argv: Sequence[str], signature: str, mixes: str) -> list[str]:
    """The overrides of an experiment, and those that fine-tune it from its best state.

    Args:
        argv: of the experiment, which the recipe comes after.
        signature: of the experiment.
        mixes: folder of `tools.automix`, added to the experiment's own songs.
    """
    # Quoted: `12345678` and `1234e567` would be read as numbers.
    return [*argv, *RECIPE, f'continue_from="{signature}"', f"dset.wav={mixes}"]


def one_source(index: int, sources: Sequence[str]) -> str:
    """The override that leaves a single source in the loss, and in what makes a state the best.

    >>> one_source(2, ["drums", "bass", "other", "vocals"])
    'weights=[0,0,1,0]'
    """
    return f"weights=[{','.join(str(int(k == index)) for k in range(len(sources)))}]"
