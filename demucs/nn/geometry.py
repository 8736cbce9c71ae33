"""The geometry of HDemucs: kernel, stride and axis of each layer."""

from dataclasses import dataclass, replace

from torch import nn

from demucs.errors import ConfigError
from demucs.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from demucs.nn.norms import GroupNorm


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """The geometry of one layer, shared by its encoder and decoder.

    Attributes:
        frequency: strides over the frequency axis (else over time).
        merges: the layer where the time branch joins: it takes all remaining frequencies at once.
        pad: pad the convolution by a quarter of its kernel.
        norm_groups: groups of the group norm; 0 means no norm.
    """

    kernel: int
    stride: int
    frequency: bool
    merges: bool = False
    pad: bool = True
    norm_groups: int = 0
    rewrite: bool = True

    @property
    def padding(self) -> int:
        return self.kernel // 4 if self.pad else 0

    def of_time_branch(self, kernel_size: int) -> "LayerShape":
        """The layer of the time branch beside this one of the frequency branch."""
        return replace(self, kernel=kernel_size, frequency=False, pad=True)

    def norm(self, channels: int) -> nn.Module:
        return GroupNorm(self.norm_groups, channels) if self.norm_groups else nn.Identity()

    def conv(self, chin: int, chout: int) -> nn.Module:
        if self.frequency:
            return Conv2d(
                chin, chout, (self.kernel, 1), stride=(self.stride, 1), padding=(self.padding, 0)
            )
        return Conv1d(chin, chout, self.kernel, stride=self.stride, padding=self.padding)

    def transposed(self, chin: int, chout: int) -> nn.Module:
        if self.frequency:
            return ConvTranspose2d(chin, chout, (self.kernel, 1), stride=(self.stride, 1))
        return ConvTranspose1d(chin, chout, self.kernel, stride=self.stride)

    def widen(self, channels: int, context: int, over_frequency: bool = True) -> nn.Module:
        """The 'rewrite' convolution before a GLU: `channels` → twice as many."""
        if not self.frequency:
            return nn.Conv1d(channels, 2 * channels, 1 + 2 * context, padding=context)
        across = context if over_frequency else 0
        return Conv2d(
            channels,
            2 * channels,
            (1 + 2 * across, 1 + 2 * context),
            padding=(across, context),
        )


def frequency_shapes(
    depth: int,
    nfft: int,
    kernel_size: int,
    stride: int,
    time_stride: int,
    norm_starts: int,
    norm_groups: int,
    rewrite: bool,
) -> list[LayerShape]:
    """Geometry of the frequency branch: strides over frequency until one bin is left, then time."""
    shapes = []
    bins = nfft // 2
    for index in range(depth):
        groups = norm_groups if index >= norm_starts else 0
        if bins == 1:
            shapes.append(
                LayerShape(
                    kernel=2 * time_stride,
                    stride=time_stride,
                    frequency=False,
                    norm_groups=groups,
                    rewrite=rewrite,
                )
            )
            continue
        merges = bins <= kernel_size
        shapes.append(
            LayerShape(
                kernel=bins if merges else kernel_size,
                stride=stride,
                frequency=True,
                merges=merges,
                pad=not merges,
                norm_groups=groups,
                rewrite=rewrite,
            )
        )
        bins = 1 if merges else bins // stride
    return shapes


def check_meeting(
    shapes: list[LayerShape], depth: int, nfft: int, stride: int, last: int | None = None
) -> None:
    """Raises ConfigError unless both branches reach one step a hop at the same layer.

    `last` is the stride of the time branch in the layer where they meet, if it is another.
    """
    if not any(shape.merges for shape in shapes):
        raise ConfigError(
            f"depth={depth} with nfft={nfft} is too shallow for the time branch to meet the "
            "frequency branch; raise depth, lower nfft, or set hybrid=False"
        )
    layers = sum(shape.frequency for shape in shapes)
    step = stride ** (layers - 1) * (last or stride)
    if step != nfft // 4:
        raise ConfigError(
            f"nfft={nfft} with stride={stride} does not let the branches meet: after {layers} "
            f"layers the time branch has one step every {step} samples and the "
            f"spectrogram one every {nfft // 4}; set nfft={4 * step} (or another power), "
            "or hybrid=False"
        )
