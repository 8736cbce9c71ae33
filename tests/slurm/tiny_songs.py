"""Songs and a model so small that eight processes train on one core."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000  # Hz
SECONDS = 2
SOURCES = ("drums", "bass", "other", "vocals")
EPOCHS = 3  # of six batches

# After the overrides of train_slurm.sh; what they leave of the group's run stays, as its moving
# averages, its penalty on singular values and `cac=False`.
TINY = (
    "hdemucs.channels=4",
    "hdemucs.nfft=256",
    "hdemucs.depth=4",
    f"dset.samplerate={RATE}",
    f"dset.musdb_samplerate={RATE}",
    "dset.segment=0.6",
    "dset.shift=0.15",
    "augment.repitch.proba=0",
    "augment.remix.group_size=2",
    "batch_size=8",
    "svd.min_size=0.001",
    "svd.dim=4",
    "model_segment=1",
    "misc.num_workers=0",
    "test.sdr=false",
)
TWO = ("--ntasks=2", "--gres=gpu:2")  # options of sbatch


def write_songs(root: Path) -> Path:
    """Writes `ROOT/SPLIT/NAME/SOURCE.wav`: tones and noise of two seconds; returns `root`.

    Fewer songs to validate and to test on than processes, so some of them have none.
    """
    noise = np.random.default_rng(0)
    seconds = np.arange(RATE * SECONDS) / RATE
    for split, count in {"train": 5, "valid": 3, "test": 2}.items():
        for number in range(count):
            stems = {
                source: 0.1 * np.sin(2 * np.pi * 60 * place * (number + 1) * seconds)[:, None]
                + 0.02 * noise.standard_normal((len(seconds), 2))
                for place, source in enumerate(SOURCES, 1)
            }
            folder = root / split / f"Böse Nacht {split} {number}"
            folder.mkdir(parents=True)
            mixture = np.sum(list(stems.values()), axis=0)
            for name, wav in {**stems, "mixture": mixture}.items():
                path = folder / f"{name}.wav"
                soundfile.write(path, wav.astype(np.float32), RATE, subtype="FLOAT")
    return root
