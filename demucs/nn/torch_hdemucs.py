"""torchaudio's own HDemucs (`model=torch_hdemucs`), with what training and separation need.

It computes what `demucs.nn.HDemucs` does by default; its weights have other names. torchaudio is
imported when a network is built, and by nothing else in this project.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError, MissingToolError
from demucs.nn.geometry import check_meeting, frequency_shapes


class TorchHDemucs(nn.Module):
    """`torchaudio.models.HDemucs` with sample rate and segment.

    State-dict keys are those of the public Demucs' `model=torch_hdemucs`: torchaudio's behind
    `torch_hdemucs.`.

    Args:
        samplerate: in Hz.
        segment: length in seconds that separation should cut long audio into.
        others: as those of `demucs.nn.HDemucs`, of which torchaudio has these.

    Shape:
        mixture `[B, C, T]`, any T ≥ 1 → stems `[B, S, C, T]`.

    Raises:
        ConfigError: no sources, or arguments with which the branches never meet.
        MissingToolError: torchaudio cannot be imported.
    """

    def __init__(
        self,
        sources: Sequence[str],
        audio_channels: int = 2,
        channels: int = 48,
        growth: float = 2,
        nfft: int = 4096,
        depth: int = 6,
        freq_emb: float = 0.2,
        emb_scale: float = 10,
        emb_smooth: bool = True,
        kernel_size: int = 8,
        time_stride: int = 2,
        stride: int = 4,
        context: int = 1,
        context_enc: int = 0,
        norm_starts: int = 4,
        norm_groups: int = 4,
        dconv_depth: int = 2,
        dconv_comp: float = 4,
        dconv_attn: int = 4,
        dconv_lstm: int = 4,
        dconv_init: float = 1e-4,
        samplerate: int = 44100,
        segment: float = 40,
    ):
        super().__init__()
        self.sources = list(sources)
        if not self.sources:
            raise ConfigError(f"{type(self).__name__} needs at least one source; sources is empty")
        self.audio_channels = audio_channels
        self.samplerate = samplerate
        self.segment = segment
        self.hop = nfft // 4
        shapes = frequency_shapes(
            depth, nfft, kernel_size, stride, time_stride, norm_starts, norm_groups, rewrite=True
        )
        # torchaudio's time branch ends in a stride of its own for one size of the STFT.
        check_meeting(shapes, depth, nfft, stride, last=2 if nfft == 2048 else None)
        self.torch_hdemucs: Any = torchaudio_network()(
            sources=self.sources,
            audio_channels=audio_channels,
            channels=channels,
            growth=growth,
            nfft=nfft,
            depth=depth,
            freq_emb=freq_emb,
            emb_scale=emb_scale,
            emb_smooth=emb_smooth,
            kernel_size=kernel_size,
            time_stride=time_stride,
            stride=stride,
            context=context,
            context_enc=context_enc,
            norm_starts=norm_starts,
            norm_groups=norm_groups,
            dconv_depth=dconv_depth,
            dconv_comp=dconv_comp,
            dconv_attn=dconv_attn,
            dconv_lstm=dconv_lstm,
            dconv_init=dconv_init,
        )
        # It is never used: processes that train together would wait for its gradient.
        self.torch_hdemucs.time_encoder[-1].norm1.requires_grad_(False)

    def forward(self, mix: Tensor) -> Tensor:
        length = mix.shape[-1]
        padding = self.hop // 2 * 3 + -length % self.hop
        if length <= padding:  # torchaudio refuses what it cannot pad by reflection
            mix = F.pad(mix, (0, 3 * self.hop - length))
        stems: Tensor = self.torch_hdemucs(mix)
        return stems[..., :length]

    def stem_axes(self) -> dict[str, int]:
        """Weights that give the stems, by name, and the axis along which stem follows stem."""
        axes = {}
        for branch in ("freq_decoder", "time_decoder"):
            outermost = len(getattr(self.torch_hdemucs, branch)) - 1
            name = f"torch_hdemucs.{branch}.{outermost}.conv_tr"
            axes.update({f"{name}.weight": 1, f"{name}.bias": 0})
        return axes


def torchaudio_network() -> Any:
    """The class `torchaudio.models.HDemucs`.

    Raises:
        MissingToolError: it cannot be imported; the message has the remedy.
    """
    try:
        from torchaudio.models import HDemucs
    except (ImportError, OSError, RuntimeError) as error:  # OSError: a library that torch lacks
        reason = str(error.__cause__ or error).splitlines()[0]
        raise MissingToolError(
            f"model=torch_hdemucs is torchaudio's network, and torchaudio cannot be imported here "
            f"({reason}). torchaudio from PyPI links CUDA's libraries: it needs torch from PyPI, "
            "not a CPU-only one (both then run on CPUs too). Remedy: pip install torch==2.14.1 "
            "torchaudio==2.11.0; or train model=hdemucs, the same network without torchaudio"
        ) from error
    return HDemucs
