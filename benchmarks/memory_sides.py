"""One separation for `bench_memory.py`, by the command of whichever `demucs` this Python has.

    python memory_sides.py MODEL FILE OUT

Prints the seconds it took and the peak of resident memory, in GB, of this process and of the
programs that it started.
"""

import resource
import sys
import time
from pathlib import Path

SOURCES = ["drums", "bass", "other", "vocals"]


def network(kind: str) -> object:
    """`stand-in`: the length and the size of the stems of an HDemucs, and no work; `hdemucs-N`."""
    import torch
    from torch import nn

    class StandIn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sources, self.audio_channels, self.samplerate = SOURCES, 2, 44100
            self.segment = self.max_allowed_segment = 40
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            return torch.stack([mix / 4] * 4, dim=1)

    if kind == "stand-in":
        return StandIn().eval()
    torch.manual_seed(0)
    try:
        from demucs.nn import ModelSpec, build_model
    except ImportError:
        from demucs.hdemucs import HDemucs  # type: ignore[import-not-found,unused-ignore]

        model = HDemucs(SOURCES, channels=int(kind.split("-")[1]), segment=40)
        model.max_allowed_segment = 40
        return model.eval()
    kwargs = {"sources": SOURCES, "channels": int(kind.split("-")[1]), "segment": 40}
    return build_model(ModelSpec(name="hdemucs", kwargs=kwargs)).eval()


def own_peak() -> int:
    """KiB of resident memory of this program at most.

    What `getrusage` says includes, after a fork, that of the process which started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    kind, file, out = sys.argv[1:]
    import os

    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # our command does so before torch comes
    import demucs.api
    from demucs.separate import main as separate

    demucs.api.get_model = lambda *_, **__: network(kind)  # type: ignore[assignment,return-value]
    began = time.monotonic()
    separate(["-n", kind, "-d", "cpu", "-o", out, file])
    elapsed = time.monotonic() - began
    peak = own_peak()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"measured {elapsed:.1f} {(peak + children) * 1024 / 1e9:.2f}")


if __name__ == "__main__":
    main()
