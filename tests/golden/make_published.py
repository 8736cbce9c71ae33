"""Makes `published/`: model files as the public Demucs publishes them, and what they compute.

    python3 -m venv reference && reference/bin/pip install demucs==4.1.0 diffq safetensors
    cd tests/golden && ../../reference/bin/python make_published.py

The networks are tiny. `expected.npz` has their outputs for the mixture of `hdemucs_cases`.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from hdemucs_cases import FOUR, fill_weights, mixture

FOLDER = Path(__file__).parent / "published"
LENGTH = 3000
TINY = dict(nfft=256, samplerate=8000)
MODELS = {
    "aaaa0001": ("HTDemucs", dict(sources=FOUR, channels=8, depth=2, segment=Fraction(39, 50),
                                  t_layers=2, t_heads=2, **TINY)),
    "aaaa0002": ("HDemucs", dict(sources=FOUR, channels=4, depth=4, **TINY)),
    "aaaa0003": ("Demucs", dict(sources=FOUR, channels=4, depth=3, resample=False,
                                samplerate=8000)),
}  # fmt: skip


def encoded(value):
    """Arguments as the safetensors files of the public release hold them."""
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    return value


def main() -> None:
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from demucs.states import get_quantizer, save_with_checksum, serialize_model
    from omegaconf import OmegaConf
    from safetensors.torch import save_file

    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    networks = {"HTDemucs": HTDemucs, "HDemucs": HDemucs, "Demucs": Demucs}
    training = OmegaConf.create({"epochs": 3, "dset": {"musdb": "/somewhere"}})
    expected = {}
    for name, (kind, kwargs) in MODELS.items():
        model = networks[kind](**kwargs)
        fill_weights(model)
        save_with_checksum(serialize_model(model, training, half=True), FOLDER / f"{name}.th")
        half = {key: value.half() for key, value in model.state_dict().items()}
        metadata = {
            "klass": f"{networks[kind].__module__}.{kind}",
            "args": "[]",
            "kwargs": json.dumps({key: encoded(value) for key, value in kwargs.items()}),
        }
        save_file({k: v.contiguous() for k, v in half.items()}, FOLDER / f"{name}s.safetensors",
                  metadata=metadata)  # fmt: skip
        model.load_state_dict(half)
        with torch.no_grad():
            expected[name] = model.eval()(mixture(name, 1, 2, LENGTH).float())[..., ::7].numpy()
    kind, kwargs = MODELS["aaaa0003"]
    model = networks[kind](**kwargs)
    fill_weights(model)
    options = OmegaConf.create({"diffq": 1e-4, "qat": None, "min_size": 0.002, "group_size": 4})
    quantiser = get_quantizer(model, options)
    save_with_checksum(serialize_model(model, training, quantiser), FOLDER / "aaaa0004.th")
    model.eval()
    with torch.no_grad():
        expected["aaaa0004"] = model(mixture("aaaa0004", 1, 2, LENGTH).float())[..., ::7].numpy()
    np.savez_compressed(FOLDER / "expected.npz", **expected)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
