"""What the `demucs` command says of flags that have no effect."""

from pathlib import Path

from demucs.separate.options import Options
from demucs.separate.outputs import filled


def unused_flags(options: Options) -> list[str]:
    """What to say of flags that the others make useless."""
    suffix = Path(filled(options.filename, Path("t.t"), "s", options.extension)).suffix.lower()
    notices = {
        "flac holds no floats: writing 24-bit integers for --float32": (
            options.float32 and suffix == ".flac"
        ),
        "--int24 and --float32 are for wav and flac: an mp3 has no bits a sample": (
            (options.int24 or options.float32) and suffix == ".mp3"
        ),
        f"--mp3-bitrate and --mp3-preset are for mp3, and not for {suffix}: add --mp3": (
            (options.mp3_bitrate, options.mp3_preset) != (320, 2) and suffix != ".mp3"
        ),
        "--clip-mode is not for --float32: floats are written as they are": (
            options.clip_mode != "rescale" and options.float32 and suffix == ".wav"
        ),
        "--other-method is for --two-stems, which is not given": (
            options.other_method != "add" and options.two_stems is None
        ),
        "--repo is for -n, and not for -s": options.repo is not None and options.sig is not None,
    }
    return [notice for notice, is_due in notices.items() if is_due]
