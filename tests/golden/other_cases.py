"""The configurations behind the golden files of HTDemucs and of time-domain Demucs.

Weights, inputs and what is kept are those of `hdemucs_cases`.
"""

from hdemucs_cases import FOUR

SMALL = dict(sources=FOUR, channels=8, samplerate=8000, segment=1.0, t_heads=4)

# name: (arguments, batch size, length in samples)
HTDEMUCS: dict[str, tuple[dict, int, int]] = {
    "ht-published": (
        dict(sources=FOUR, channels=16, dconv_mode=3, bottom_channels=64, samplerate=8000,
             segment=1.5),
        1,
        12000,
    ),
    "ht-shorter": (dict(**SMALL), 2, 5001),
    "ht-any-length": (dict(**SMALL, use_train_segment=False), 1, 9001),
    "ht-no-transformer": (dict(**SMALL, t_layers=0), 1, 8000),
    "ht-cape": (dict(**SMALL, t_emb="cape", t_layers=2), 2, 8000),
    "ht-scaled": (dict(**SMALL, t_emb="scaled", t_max_positions=100, t_layers=2), 1, 8000),
    "ht-post-norm": (
        dict(**SMALL, t_norm_first=False, t_gelu=False, t_cross_first=True, t_layers=3), 1, 8000,
    ),
    "ht-group-norms": (
        dict(**SMALL, t_norm_in=False, t_norm_in_group=4, t_group_norm=2, t_layers=2), 2, 8000,
    ),
    "ht-bare": (
        dict(**SMALL, t_norm_in=False, t_norm_out=False, t_layer_scale=False, t_layers=2,
             t_weight_pos_embed=0.3, t_max_period=500.0, t_hidden_scale=2.0),
        1,
        8000,
    ),
    "ht-amplitude": (dict(**SMALL, cac=False, wiener_iters=-1, end_iters=-1, t_layers=2), 1, 8000),
    "ht-bands": (
        dict(**SMALL, multi_freqs=[0.25, 0.6], multi_freqs_depth=2, dconv_mode=2, t_layers=1),
        1,
        8000,
    ),
    "ht-meeting": (
        dict(sources=FOUR, channels=4, depth=3, nfft=256, norm_starts=100, samplerate=8000,
             segment=0.5, t_heads=2, t_layers=2,
             dconv_comp=2),
        1,
        4000,
    ),
    "ht-six-stems": (
        dict(sources=[*FOUR, "guitar", "piano"], channels=8, bottom_channels=32, samplerate=8000,
             segment=1.0, t_heads=4, norm_starts=2),
        1,
        8000,
    ),
}  # fmt: skip
DEMUCS: dict[str, tuple[dict, int, int]] = {
    "time-default": (dict(sources=FOUR), 1, 8001),
    "time-configured": (dict(sources=FOUR, channels=16, normalize=False), 2, 12345),
    "time-short": (dict(sources=FOUR, channels=8), 1, 50),
    "time-mono": (dict(sources=["vocals", "rest"], audio_channels=1, channels=8, depth=4), 2, 5000),
    "time-lstm": (dict(sources=FOUR, channels=8, lstm_layers=2, depth=5, dconv_mode=0), 1, 30000),
    "time-plain": (
        dict(sources=FOUR, channels=8, resample=False, gelu=False, glu=False, dconv_mode=3,
             context=2),
        1,
        7001,
    ),
    "time-no-rewrite": (
        dict(sources=FOUR, channels=8, rewrite=False, norm_starts=1, norm_groups=2,
             kernel_size=4, stride=2, dconv_attn=2, dconv_lstm=3),
        1,
        6000,
    ),
}  # fmt: skip
CASES = HTDEMUCS | DEMUCS
