"""A small network that hears mixture and estimates, and predicts SDR and activity of each.

`tools.blind_estimates` collects what it is trained on, `demucs.train_quality` trains it, and here
is what uses it:

    trained = load_network("quality.safetensors")
    quality = predict(trained, mixture, estimates, samplerate)
"""

from demucs.blind.network.file import load_network, save_network
from demucs.blind.network.quality_network import NetworkConfig, QualityNetwork
from demucs.blind.network.trained import Trained, predict

__all__ = [
    "NetworkConfig",
    "QualityNetwork",
    "Trained",
    "load_network",
    "predict",
    "save_network",
]
