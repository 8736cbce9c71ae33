"""The way of a segment from the command to the network is short enough to be read at once."""

import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import soundfile
import torch

from demucs import api
from demucs.separate import main

PACKAGE = Path(api.__file__).parent


class Network(torch.nn.Module):
    """Notes who calls it; its stems are halves of the mixture."""

    sources = ("drums", "rest")
    samplerate, audio_channels, segment = 8000, 2, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[tuple[str, str]] = []

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        frame: FrameType | None = sys._getframe(1)
        self.frames = []
        while frame is not None and frame.f_code is not main.__code__:
            self.frames.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        self.frames.append((main.__code__.co_filename, "main"))
        return torch.stack([mix / 2, mix / 2], 1)


@pytest.mark.parametrize("bag", [False, True])
def test_from_the_command_to_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bag: bool
) -> None:
    network = Network()
    model: torch.nn.Module = network
    if bag:
        model = torch.nn.Module()
        model.models, model.weights = [network, network], [[1.0, 1.0], [1.0, 1.0]]
        model.sources, model.samplerate = list(network.sources), network.samplerate
        model.audio_channels, model.segment = network.audio_channels, network.segment
    monkeypatch.setattr(api, "get_model", lambda *_: model)
    soundfile.write(tmp_path / "song.wav", np.full((16000, 2), 0.25), 8000)
    main(["-n", "any", "-o", str(tmp_path / "out"), str(tmp_path / "song.wav")])
    ours = [(file, name) for file, name in network.frames if Path(file).is_relative_to(PACKAGE)]
    assert ours[-1][1] == "main"
    assert len(ours) <= 8, ours
    assert len({file for file, _ in ours}) <= 4, ours
