"""Makes `torchaudio/`: the weights of torchaudio's HDemucs by name, and what it computes with some.

    python3 -m venv reference && reference/bin/pip install torch torchaudio==2.11.0 numpy
    cd tests/golden && ../../reference/bin/python make_torchaudio.py

`names.json` has the shapes of the weights of `torchaudio.models.hdemucs_high`, the class of the
published files, and of a small network; `expected.npz` their outputs, in float64, for weights and
mixtures of `hdemucs_cases`.
"""

import json
from pathlib import Path

import numpy as np
import torch
from hdemucs_cases import FOUR, fill_weights, mixture, positions

FOLDER = Path(__file__).parent / "torchaudio"
# The second is long enough that its LSTM, over steps of 64 samples, cuts it up.
SMALL = dict(channels=8, nfft=256, depth=4, dconv_lstm=2, dconv_attn=2, norm_starts=2)
CASES = {"high": (dict(), 22051), "small": (SMALL, 14000)}


def main() -> None:
    from torchaudio.models import HDemucs, hdemucs_high

    FOLDER.mkdir(exist_ok=True)
    names, expected = {}, {}
    for name, (kwargs, length) in CASES.items():
        model = HDemucs(sources=FOUR, **kwargs) if kwargs else hdemucs_high(sources=FOUR)
        names[name] = {key: list(value.shape) for key, value in model.state_dict().items()}
        fill_weights(model)
        with torch.no_grad():
            out = model.double().eval()(mixture(name, 1, 2, length)).numpy().ravel()
        expected[name] = out[positions(out.size)]
    lines = [f'"{name}": {json.dumps(shapes)}' for name, shapes in names.items()]
    (FOLDER / "names.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    np.savez_compressed(FOLDER / "expected.npz", **expected)


if __name__ == "__main__":
    main()
