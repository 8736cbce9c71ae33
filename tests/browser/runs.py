"""Two small runs that really happened: trained for some steps, exported, evaluated."""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

from demucs.data import find_tracks
from demucs.demo_songs import write_demo_songs
from demucs.evaluation import evaluate
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release

RATE = 8000
SOURCES = ["drums", "bass", "other", "vocals"]
SPEC = ModelSpec(
    name="hdemucs",
    kwargs={"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE,
            "segment": 4.0},
)  # fmt: skip
# As a folder may be called; a slash is the only letter that it cannot have.
HOSTILE = (
    "<script>document.title='broken'<img src=x onerror=alert(1)> & \"quotes\" 'ü' 日本 " + 60 * "x"
)
SIGNATURES = ("aaaa0001", "bbbb0002")


def make_runs(root: Path, *, hostile: bool = True) -> None:
    """Songs in `root/songs`, experiments in `root/outputs`, releases in `root/release_models`."""
    write_demo_songs(
        root / "songs", train=2, valid=0, test=3, seconds=6.0, samplerate=RATE, workers=1,
        progress=False,
    )  # fmt: skip
    if hostile:
        last = sorted((root / "songs" / "test").iterdir())[-1]
        last.rename(last.with_name(HOSTILE))
    train = [track.load() for track in tracks(root, "train")]
    for steps, signature in zip((4, 8), SIGNATURES, strict=True):
        model, losses = trained(train, steps)
        info = ReleaseInfo(
            signature=signature,
            spec=SPEC,
            config={"model": "hdemucs", "epochs": steps // 2, "hdemucs": {"channels": 4},
                    "dset": {"musdb": str(root / "songs")}},
            provenance={"epochs": steps // 2, "test_set_seen": "no", "data": {"musdb": "songs"},
                        "versions": {"demucs": "0"}, "date": "2026-11-29T00:00:00+00:00"},
        )  # fmt: skip
        save_release(root / "release_models" / f"{signature}.safetensors", model.state_dict(), info)
        write_history(root / "outputs" / "xps" / signature, losses)
        model.release = info
        results = evaluate(
            model.eval(), tracks(root, "test"), workers=0, progress=False, model_name=signature,
            metrics=["nsdr", "sdr"] if signature == SIGNATURES[1] else ["nsdr"],  # seconds of work
        )  # fmt: skip
        results.data = {"name": "songs", "split": "test"}
        results.save(root / "release_models" / f"evaluation_{signature}.json")


def tracks(root, split):
    if split == "train":  # of a folder, so that none is set aside for validation
        from demucs.data import tracks_in

        return tracks_in(root / "songs" / "train", sources=SOURCES, samplerate=RATE)
    return find_tracks(root / "songs", split, sources=SOURCES, samplerate=RATE)


def trained(songs, steps):
    """A model after some steps on crops of songs, and the loss of each."""
    torch.manual_seed(0)
    model = build_model(SPEC).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for step in range(steps):
        mixture, stems = songs[step % len(songs)]
        start = (step * RATE) % (mixture.shape[-1] - 2 * RATE)
        part = slice(start, start + 2 * RATE)
        loss = F.l1_loss(model(mixture[None, :, part])[0], stems[..., part])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return model, losses


def write_history(folder, losses):
    """Two steps make an epoch; a value is NaN, as of a run that stumbled."""
    folder.mkdir(parents=True)
    epochs = []
    for first, second in zip(losses[::2], losses[1::2], strict=True):
        main = {"loss": second, "nsdr": -second, **{f"nsdr_{stem}": -second for stem in SOURCES}}
        ema = {**main, "nsdr": -first}
        epochs.append({
            "train": {"loss": first, "penalty": 10 * first},
            "valid": {"main": main, "ema_batch_0": ema, **main, "bname": "main", "best": -second},
        })  # fmt: skip
    epochs[0]["valid"]["nsdr_bass"] = float("nan")
    (folder / "history.json").write_text(json.dumps(epochs))
    (folder / ".argv.json").write_text(json.dumps(["epochs=9", "model=hdemucs"]))
