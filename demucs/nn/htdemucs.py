"""Hybrid Transformer Demucs: HDemucs of four layers, and between its halves a transformer.

Reference: S. Rouard, F. Massa and A. Défossez, "Hybrid Transformers for Music Source Separation"
(arXiv:2211.08553). State-dict keys, shapes and outputs are those of the public Demucs (its
`HTDemucs`).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError
from demucs.nn.hdemucs import HDemucs
from demucs.nn.transformer import CrossTransformer

NEVER = 1000  # a layer that no network has


class HTDemucs(HDemucs):
    """The hybrid transformer separator.

    Args:
        bottom_channels: channels inside the transformer; 0: those of the innermost layer.
        t_layers: layers of the transformer; 0: none.
        t_*: see `CrossTransformer` and `TransformerLayer`. `t_weight_decay` and `t_lr` are those of
            a separate group of the optimiser. `t_sparse_*`, `t_mask_*`, `t_global_window`,
            `t_sparsity` and `t_auto_sparsity` belong to sparse attention, which is not here.
        use_train_segment: separate in chunks as long as those of the training, `segment` seconds;
            a shorter input is padded to that.
        others: see `HDemucs`.

    Shape:
        mixture `[B, C, T]` → stems `[B, S, C, T]`.

    Raises:
        ConfigError: arguments that do not go together, or sparse attention.
    """

    branches_meet = False

    def __init__(
        self,
        sources: Sequence[str],
        audio_channels: int = 2,
        channels: int = 48,
        channels_time: int | None = None,
        growth: float = 2,
        nfft: int = 4096,
        wiener_iters: int = 0,
        end_iters: int = 0,
        wiener_residual: bool = False,
        cac: bool = True,
        depth: int = 4,
        rewrite: bool = True,
        multi_freqs: Sequence[float] | None = None,
        multi_freqs_depth: int = 3,
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
        dconv_mode: int = 1,
        dconv_depth: int = 2,
        dconv_comp: float = 8,
        dconv_init: float = 1e-3,
        bottom_channels: int = 0,
        t_layers: int = 5,
        t_emb: str = "sin",
        t_hidden_scale: float = 4.0,
        t_heads: int = 8,
        t_dropout: float = 0.0,
        t_max_positions: int = 10000,
        t_norm_in: bool = True,
        t_norm_in_group: int = 0,
        t_group_norm: int = 0,
        t_norm_first: bool = True,
        t_norm_out: bool = True,
        t_max_period: float = 10000.0,
        t_weight_decay: float = 0.0,
        t_lr: float | None = None,
        t_layer_scale: bool = True,
        t_gelu: bool = True,
        t_weight_pos_embed: float = 1.0,
        t_sin_random_shift: int = 0,
        t_cape_mean_normalize: bool = True,
        t_cape_augment: bool = True,
        t_cape_glob_loc_scale: Sequence[float] = (5000.0, 1.0, 1.4),
        t_sparse_self_attn: bool = False,
        t_sparse_cross_attn: bool = False,
        t_mask_type: str = "diag",
        t_mask_random_seed: int = 42,
        t_sparse_attn_window: int = 500,
        t_global_window: int = 100,
        t_sparsity: float = 0.95,
        t_auto_sparsity: bool = False,
        t_cross_first: bool = False,
        rescale: float = 0.1,
        samplerate: int = 44100,
        segment: float = 10,
        use_train_segment: bool = True,
    ):
        super().__init__(
            sources,
            audio_channels=audio_channels,
            channels=channels,
            channels_time=channels_time,
            growth=growth,
            nfft=nfft,
            wiener_iters=wiener_iters,
            end_iters=end_iters,
            wiener_residual=wiener_residual,
            cac=cac,
            depth=depth,
            rewrite=rewrite,
            multi_freqs=multi_freqs,
            multi_freqs_depth=multi_freqs_depth,
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
            dconv_mode=dconv_mode,
            dconv_depth=dconv_depth,
            dconv_comp=dconv_comp,
            dconv_attn=NEVER,
            dconv_lstm=NEVER,
            dconv_init=dconv_init,
            rescale=rescale,
            samplerate=samplerate,
            segment=segment,
        )
        if t_sparse_self_attn or t_sparse_cross_attn:
            raise ConfigError(
                "t_sparse_self_attn and t_sparse_cross_attn: sparse attention is not available"
            )
        if channels_time not in (None, channels):
            raise ConfigError(
                f"channels_time={channels_time}: the transformer needs both branches to have "
                f"channels={channels}; leave channels_time out"
            )
        self.use_train_segment = use_train_segment
        wide = int(channels * growth ** (depth - 1))
        self.bottom_channels = bottom_channels
        if bottom_channels:
            self.channel_upsampler = nn.Conv1d(wide, bottom_channels, 1)
            self.channel_downsampler = nn.Conv1d(bottom_channels, wide, 1)
            self.channel_upsampler_t = nn.Conv1d(wide, bottom_channels, 1)
            self.channel_downsampler_t = nn.Conv1d(bottom_channels, wide, 1)
        self.crosstransformer = None
        if t_layers > 0:
            self.crosstransformer = CrossTransformer(
                bottom_channels or wide,
                t_layers,
                emb=t_emb,
                hidden_scale=t_hidden_scale,
                heads=t_heads,
                cross_first=t_cross_first,
                dropout=t_dropout,
                max_positions=t_max_positions,
                norm_in=t_norm_in,
                norm_in_group=t_norm_in_group,
                group_norm=t_group_norm,
                norm_first=t_norm_first,
                norm_out=t_norm_out,
                max_period=t_max_period,
                layer_scale=t_layer_scale,
                gelu=t_gelu,
                sin_random_shift=t_sin_random_shift,
                weight_pos_embed=t_weight_pos_embed,
                cape_mean_normalize=t_cape_mean_normalize,
                cape_augment=t_cape_augment,
                cape_glob_loc_scale=t_cape_glob_loc_scale,
                weight_decay=t_weight_decay,
                lr=t_lr,
            )

    @property
    def training_length(self) -> int:
        """Samples of a chunk of the training."""
        return round(self.segment * self.samplerate)

    def valid_length(self, length: int) -> int:
        """The length that an input of `length` samples should be given.

        Raises:
            ConfigError: it is longer than what the model was trained with.
        """
        if not self.use_train_segment:
            return length
        if length > self.training_length:
            raise ConfigError(
                f"a chunk of {length / self.samplerate:.2f} s is longer than the "
                f"{float(self.segment):.2f} s this model was trained with: give a segment of at "
                "most that"
            )
        return self.training_length

    def forward(self, mix: Tensor) -> Tensor:
        if self.training or not self.use_train_segment:
            return super().forward(mix)
        length = mix.shape[-1]
        return super().forward(F.pad(mix, (0, self.valid_length(length) - length)))[..., :length]

    def between(self, x: Tensor, xt: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.crosstransformer is None or xt is None:
            return x, xt
        if not self.bottom_channels:
            both: tuple[Tensor, Tensor] = self.crosstransformer(x, xt)
            return both
        shape = x.shape[-2:]
        x, xt = self.crosstransformer(
            self.channel_upsampler(x.flatten(2)).unflatten(-1, shape), self.channel_upsampler_t(xt)
        )
        x = self.channel_downsampler(x.flatten(2)).unflatten(-1, shape)
        return x, self.channel_downsampler_t(xt)
