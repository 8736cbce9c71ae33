"""The file of the best state, with its intervals and where it comes from."""

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import demucs
from demucs.blind.network.feature_cache import Memory
from demucs.blind.network.file import save_network
from demucs.blind.network.quality_network import QualityNetwork
from demucs.blind.network.settings import QualityConfig
from demucs.blind.network.trained import Trained
from demucs.blind.network.training_windows import Item, teachers_of
from demucs.blind.network.validate import factors, judge, scores
from demucs.experiment.identity import Experiment
from demucs.release.provenance import song_mark

FILE = "quality.safetensors"
WHERE = ("estimates", "songs", "metadata")  # keys that say more about a machine than the data


def export(
    network: QualityNetwork,
    best: Mapping[str, Any],
    items: Sequence[Item],
    config: QualityConfig,
    plain: Mapping[str, Any],
    experiment: Experiment,
) -> Path:
    """Writes the best state, with intervals from `items`, which did not choose it.

    Args:
        network: takes the best state.
        best: `epoch`, `metric` and `state`.
        items: validation estimates.
        config: of the training.
        plain: the same as plain values.
        experiment: whose network it is.
    """
    network.load_state_dict(best["state"])
    network.eval()
    memory = Memory(0)
    judged = [judge(network, item, config.valid_seconds, memory, config.loss) for item in items]
    measured = scores(judged, config.sources, config.loss)
    used = teachers_of(Path(config.estimates))
    names = sorted({item.record.teacher for item in items})
    facts = {
        "signature": experiment.signature,
        "config": {key: value for key, value in plain.items() if key not in WHERE},
        "best": {"epoch": best["epoch"], "metric": best["metric"], "name": "spearman"},
        "held_out": measured,
        "teachers": {name: used.get(name) for name in names},
        "songs": sorted({song_mark(one.track.name, one.track.frames) for one in items}),
        "versions": {
            "demucs": demucs.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    trained = Trained(
        network=network,
        factors=factors(judged, [one.track.name for one in items], config.coverage),
        coverage=config.coverage,
        facts=facts,
    )
    path = experiment.folder / FILE
    save_network(path, trained)
    return path
