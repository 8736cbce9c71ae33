"""Convolutions on channels-last tensors, with weights laid out once."""

import threading
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.fast.layout import channels_last

_packing = threading.Lock()


class Convolution(nn.Module):
    """A Conv1d or Conv2d over `[B, C, F, N]`; one over time has height 1.

    The weight is put in oneDNN's own layout at the first call, for the shape met there: otherwise
    it is moved at each call, which takes as long as the product itself where few frames meet many
    weights. From then on the module holds that layout only. Much longer inputs choose it anew. For
    much shorter ones the weight is unpacked each time: oneDNN moves it 20 times faster from there
    than from one layout of its own to another.

    Args:
        conv: the trained layer; its parameters are copied.
        dtype: of parameters, input and output.
        after: what is done as the result is written: "none", "gelu" or "sigmoid".
        flat: the input has one frequency, so weights for its neighbours would meet zeros alone.
        keep: these output channels only.
        padded: False if the caller puts the zeros around the input (`margin` of them).

    Shape:
        `[B, Cin, F, N]` → `[B, Cout, F', N']`, channels-last.
    """

    def __init__(
        self,
        conv: nn.Module,
        dtype: torch.dtype,
        after: str = "none",
        flat: bool = False,
        keep: slice = slice(None),
        padded: bool = True,
    ):
        super().__init__()
        assert isinstance(conv, nn.Conv1d | nn.Conv2d)
        weight = conv.weight.detach()[keep]
        self.stride, self.padding, self.dilation = (
            _pair(values, default)
            for values, default in ((conv.stride, 1), (conv.padding, 0), (conv.dilation, 1))
        )
        if weight.dim() == 3:
            weight = weight[:, :, None]
        elif flat and self.padding[0] > 0:
            weight = weight[:, :, self.padding[0] : self.padding[0] + 1]
            self.padding = (0, self.padding[1])
        self.margin = self.padding
        if not padded:
            self.padding = (0, 0)
        self._set(weight, cast(Tensor, conv.bias).detach()[keep], dtype, after)

    def _set(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, after: str) -> None:
        self.after = after
        self.weight: Tensor | None = weight.to(dtype, copy=True)
        self.bias = bias.to(dtype, copy=True)
        self.packed: tuple[Tensor, int] | None = None
        self.packed_for: torch.Size | None = None  # the input that the layout was chosen for

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(x)
        if not _has_onednn(x):
            y = F.conv2d(x, self._dense(), self.bias, self.stride, self.padding, self.dilation)
            return F.gelu(y) if self.after == "gelu" else _logistic(y, self.after)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._pack(x), self.bias, self.padding, self.stride, self.dilation, 1, self.after,
            [], "none",
        )  # fmt: skip
        return out

    def _dense(self) -> Tensor:
        assert self.weight is not None
        return channels_last(self.weight)

    def _pack(self, x: Tensor) -> Tensor:
        """The weight in oneDNN's layout for inputs of this length, roughly."""
        length, packed = x.shape[3], self.packed
        if packed is None or length > 2 * packed[1]:
            with _packing:
                packed = self.packed
                if packed is None or length > 2 * packed[1]:
                    dense = self.weight if packed is None else packed[0].to_dense()
                    assert dense is not None
                    self.packed = packed = (self._moved(dense, x.shape), length)
                    self.packed_for, self.weight = x.shape, None
        return packed[0] if 2 * length > packed[1] else packed[0].to_dense()

    def _moved(self, dense: Tensor, shape: torch.Size) -> Tensor:
        geometry = (self.padding, self.stride, self.dilation, 1, shape)
        moved: Tensor = torch.ops.aten.mkldnn_reorder_conv2d_weight(
            dense.contiguous().to_mkldnn(), *geometry
        )
        return moved

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle` and `copy`, which cannot read oneDNN's layout: the weight unpacked."""
        state = dict(self.__dict__)
        packed = state["packed"]
        if packed is not None:
            state.update(packed=None, weight=packed[0].to_dense())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Packs the weight again, for the same input: a copy computes the same bits."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self.packed_for is not None and self.weight is not None:
            self.packed = (self._moved(self.weight, self.packed_for), self.packed_for[3])
            self.weight = None


class TransposedOverTime(Convolution):
    """A ConvTranspose1d whose kernel is twice its stride, as a convolution of two taps.

    Each input step, with the one before it, gives `stride` output steps: as many times the output
    channels of an ordinary convolution, which in memory are the output already.

    Args:
        padded: False if the caller puts one step before the input and one after it.

    Shape:
        `[B, Cin, 1, T]` → `[B, Cout, 1, stride * (T + 1)]`, or `stride * (T - 1)` if not `padded`.
    """

    def __init__(self, conv: nn.ConvTranspose1d, dtype: torch.dtype, padded: bool = True):
        nn.Module.__init__(self)
        chin, self.channels, kernel = conv.weight.shape
        self.steps = kernel // 2
        taps = conv.weight.detach().reshape(chin, self.channels, 2, self.steps).flip(2)
        weight = taps.permute(3, 1, 0, 2).reshape(self.steps * self.channels, chin, 1, 2)
        self.stride, self.padding, self.dilation = (1, 1), (0, int(padded)), (1, 1)
        bias = cast(Tensor, conv.bias).detach().repeat(self.steps)
        self._set(weight, bias, dtype, "none")

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Whether `conv` has such a kernel."""
        return (
            isinstance(conv, nn.ConvTranspose1d)
            and conv.kernel_size[0] == 2 * conv.stride[0]
            and conv.padding == (0,)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x).permute(0, 2, 3, 1)
        batch, _, steps, _ = y.shape
        return y.reshape(batch, 1, steps * self.steps, self.channels).permute(0, 3, 1, 2)


class Transposed(nn.Module):
    """Any ConvTranspose1d or ConvTranspose2d, with what is cropped afterwards as its padding.

    Args:
        padding: steps that are dropped on each side of the strided axis.

    Shape:
        `[B, Cin, F, N]` → `[B, Cout, F', N']`, channels-last.
    """

    def __init__(self, conv: nn.Module, dtype: torch.dtype, padding: int):
        super().__init__()
        assert isinstance(conv, nn.ConvTranspose1d | nn.ConvTranspose2d)
        weight = conv.weight.detach()
        over_time = weight.dim() == 3
        weight = weight[:, :, None] if over_time else weight
        self.stride = _pair(conv.stride, 1)
        self.padding = (0, padding) if over_time else (padding, 0)
        self.weight = channels_last(weight.to(dtype, copy=True))
        self.bias = cast(Tensor, conv.bias).detach().to(dtype, copy=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(
            channels_last(x), self.weight, self.bias, self.stride, self.padding
        )


def _pair(values: Any, default: int) -> tuple[int, int]:
    """One number a dimension → (height, width); a layer over time has none for the height."""
    numbers = [int(value) for value in values]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (default, numbers[0])


def _logistic(y: Tensor, after: str) -> Tensor:
    return y.sigmoid_() if after == "sigmoid" else y


def _has_onednn(x: Tensor) -> bool:
    """Whether oneDNN takes weights in layouts of its own, in the type of `x`."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return x.dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
