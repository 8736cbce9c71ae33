"""Writes the golden files of HTDemucs and time-domain Demucs from the public implementation.

Run it in an environment of its own, since the public package has the same import name:

    python3 -m venv reference && reference/bin/pip install demucs==4.1.0
    reference/bin/python tests/golden/make_others.py
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
from hdemucs_cases import run_case
from other_cases import CASES, HTDEMUCS

FOLDER = Path(__file__).parent / "others"
REFERENCE = "4.1.0"


def main() -> None:
    if importlib.metadata.version("demucs") != REFERENCE:
        sys.exit(f"this needs demucs=={REFERENCE}, see the head of {Path(__file__).name}")
    from demucs.demucs import Demucs
    from demucs.htdemucs import HTDemucs

    FOLDER.mkdir(exist_ok=True)
    for name, (kwargs, _, _) in CASES.items():
        model = (HTDemucs if name in HTDEMUCS else Demucs)(**kwargs)
        state = {key: list(value.shape) for key, value in model.state_dict().items()}
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            state=np.array(json.dumps(state)),
            reference=np.array(f"demucs=={REFERENCE}"),
            **run_case(model, name, CASES),
        )
        print(name, len(state))


if __name__ == "__main__":
    main()
