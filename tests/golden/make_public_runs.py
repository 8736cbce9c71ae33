"""Writes golden experiments of the public solver, and what it does when it continues them.

    reference/bin/python tests/golden/make_public_runs.py

in the environment that `make_training_trace.py` describes. The package's own entry point is called
on configuration files that have its keys and no others; the solver is stopped after two of three
epochs, as a preempted job is. Of each case in `CASES` there are

    public_runs/NAME/xps/SIGNATURE/   what it left: checkpoint.th (by xz), history.json, .argv.json,
                                      .hydra/, train.log
    public_runs/NAME.json             its third epoch, continued from that checkpoint: draws, steps,
                                      metrics, where the weights went; and hashes of the weights
                                      that its own export writes

The songs, the batches and the recording are those of `make_training_trace.py`. The paths of this
machine are not in the files: the configuration has those of a user whose data is in /data.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import lzma
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import training_trace_cases as cases
from make_public_log import Interrupting, Songs
from make_training_trace import CONF, REFERENCE, DrawnAugment, Recorder, loaders, rounded
from torch import Tensor

FOLDER = Path(__file__).parent / "public_runs"
STOPPED = 2  # epochs before the job is preempted
OURS = {  # keys of conf/config.yaml that the public one does not have
    "": ("semi", "micro_batch", "precision", "compile", "model_args"),
    "optim": ("warmup", "schedule", "final_lr"),
    "misc": ("timeout", "board", "reference"),
    "svd": ("warm",),
}
EXCLUDED = ["misc.*", "slurm.*", "test.reval", "flag", "dset.backend"]
DATA = "/data/musdb18hq"

REDUCED = (*cases.REDUCED[1:], "epochs=3", "test.every=1", "misc.num_workers=0")
CASES: dict[str, tuple[str, ...]] = {
    "hdemucs": (
        *REDUCED,
        *cases.GROUP[1:],
        "ema.epoch=[0.9]",
        "ema.batch=[0.9]",
        "svd.min_size=0.001",
        "svd.dim=4",
        "hdemucs.channels=4",
        "hdemucs.growth=1",
        "hdemucs.dconv_comp=1",
    ),
    # Two groups of parameters, AdamW, the best by nSDR, a folder that is a part of the signature.
    "htdemucs": (
        *REDUCED,
        f"dset.musdb={DATA}",
        "model=htdemucs",
        "htdemucs.channels=8",
        "htdemucs.growth=1",
        "htdemucs.nfft=1024",
        "htdemucs.dconv_comp=2",
        "htdemucs.t_layers=2",
        "htdemucs.t_heads=2",
        "htdemucs.t_hidden_scale=1",
        "htdemucs.t_weight_decay=0.05",
        "htdemucs.t_lr=0.001",
        "optim.optim=adamw",
        "optim.clip_grad=5",
        "ema.batch=[0.9]",
        "weights=[1,0,0,1]",
        "test.metric=nsdr",
        "svd=base2",
    ),
}


def write_conf(folder: Path) -> None:
    """Configuration files with the public keys alone."""
    from omegaconf import OmegaConf

    folder.mkdir()
    config: Any = OmegaConf.load(CONF / "config.yaml")
    for block, names in OURS.items():
        for name in names:
            del (config[block] if block else config)[name]
    config.defaults = [choice for choice in config.defaults if "semi" not in choice]
    config.dset.musdb = "/checkpoint/defossez/datasets/musdbhq"
    config.dora = {"dir": "outputs", "exclude": EXCLUDED}
    del config.hydra
    for group in ("dset", "svd", "variant"):
        shutil.copytree(CONF / group, folder / group)
    OmegaConf.save(config, folder / "config.yaml")


def new_solver(args: Any, done: int) -> Any:
    """The public solver of a configuration, on the batches after `done` epochs."""
    from demucs import solver as public
    from demucs.train import get_model, get_optimizer

    torch.manual_seed(args.seed)
    random.seed(done)
    model = get_model(args)
    cases.start(model)
    data = loaders()
    data["train"].epoch = done
    if done == 0:
        data["train"] = Interrupting(data["train"], STOPPED * cases.BATCHES)
    solver = public.Solver(data, model, get_optimizer(model, args), args)
    solver.augment = DrawnAugment(solver.augment)
    return solver


def preempted(args: Any) -> None:
    """Trains until the job is taken from the machine."""
    try:
        new_solver(args, 0).train()
    except KeyboardInterrupt:
        print("preempted")


def continued(args: Any) -> dict[str, Any]:
    """The third epoch, from the checkpoint of the first two; all that its golden file holds."""
    from demucs import solver as public

    real = public.evaluate
    solver = new_solver(args, STOPPED)
    first = {key: value.clone() for key, value in solver.model.state_dict().items()}
    with Recorder(public, args.seed) as recorder:
        recorder.penalties = STOPPED * cases.BATCHES
        public.evaluate = real
        solver.train()
    states = {"main": solver.model.state_dict()}
    for kind, averages in solver.emas.items():
        states.update({f"ema_{kind}_{k}": average.state for k, average in enumerate(averages)})
    squares = [(states["main"][key] - value).square().sum() for key, value in first.items()]
    epoch = solver.history[-1]
    return {
        "reference": f"demucs=={REFERENCE}, torch=={torch.__version__}",
        "draws": solver.augment.draws,
        "steps": [step for step in recorder.measured if "grad" in step],
        "epoch": {stage: epoch[stage] for stage in ("train", "valid")},
        "movement": float(torch.stack(squares).sum().sqrt()),
        "weights": {key: cases.projections(state, first) for key, state in states.items()},
    }


def exported(args: Any) -> dict[str, Any]:
    """Hashes of the weights as the public export writes them, before the third epoch."""
    from demucs.states import serialize_model

    solver = new_solver(args, STOPPED)
    solver.model.load_state_dict(solver.best_state)
    package = serialize_model(solver.model, args, solver.quantizer, half=True)
    return {
        "klass": package["klass"].__name__,
        "kwargs": rounded(package["kwargs"]),
        "half": {name: digest(value) for name, value in package["state"].items()},
        "single": {name: digest(value) for name, value in solver.best_state.items()},
    }


def digest(value: Tensor) -> str:
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()[:16]


def keep(folder: Path, name: str) -> None:
    """Copies what a preempted job leaves, without paths of this machine."""
    place = FOLDER / name / "xps" / folder.name
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    left_out = shutil.ignore_patterns("hydra.yaml", "*.log", "results", "*.th")
    shutil.copytree(folder, place, ignore=left_out)
    checkpoint = (folder / "checkpoint.th").read_bytes()
    (place / "checkpoint.th.xz").write_bytes(lzma.compress(checkpoint, preset=9))
    for log in folder.glob("*.log"):
        text = log.read_text().replace(str(Path.cwd()), "/data")
        (place / "train.log").write_text(text)


def case(name: str) -> None:
    """Runs a case through the public entry point, with the solver's part replaced by `trained`."""
    from demucs import train

    class Job:
        def __init__(self, args: Any) -> None:
            self.args = args

        def train(self) -> None:
            trained(name, self.args)

    train.get_solver = Job
    sys.argv[1:] = CASES[name]
    train.main()


def trained(name: str, args: Any) -> None:
    """Makes the files of a case."""
    from dora import get_xp

    args.dset.metadata = "/data/metadata"  # not the folder of this run
    preempted(args)
    keep(get_xp().folder, name)
    found = {"overrides": get_xp().argv, "export": exported(args), **continued(args)}
    text = json.dumps(rounded(found), separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(text)
    print(name, get_xp().sig, len(text), "bytes,", found["steps"][0])


def main() -> None:
    if importlib.metadata.version("demucs") != REFERENCE:
        sys.exit(f"this needs demucs=={REFERENCE}, see the head of make_training_trace.py")
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):  # reads audio there, of which there is none here
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    package = Path(importlib.util.find_spec("demucs").origin).parent
    with tempfile.TemporaryDirectory() as folder:
        # The package, with the configuration beside it that its wheel does not have.
        shutil.copytree(package, Path(folder) / "demucs")
        write_conf(Path(folder) / "conf")
        sys.path.insert(0, folder)
        os.chdir(folder)
        from demucs import evaluate

        evaluate.musdb.DB = Songs
        for name in CASES:
            case(name)


if __name__ == "__main__":
    main()
