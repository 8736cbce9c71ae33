"""Drum patterns: which piece is hit when. A bar has 16 steps."""

from dataclasses import dataclass

import numpy as np

from demucs.demo_songs.drums import PANS, make_kit
from demucs.demo_songs.music import BEATS, Score, Section
from demucs.demo_songs.space import place
from demucs.demo_songs.tones import Wave

STEPS = 16
# X is an accent, x a hit, o a soft hit, . a rest. Patterns of one style go together.
STYLES: dict[str, dict[str, tuple[str, ...]]] = {
    "rock": {
        "kick": ("X.......X.......", "X.....x.X.......", "X.......X.x.....", "X..x....X.x....."),
        "snare": ("....X.......X...", "....X.......X..o", "....X..o....X..."),
        "closed": ("x.x.x.x.x.x.x.x.", "X.x.X.x.X.x.X.x."),
    },
    "funk": {
        "kick": ("X..x..x...x..x..", "X.x.......x..x..", "X......x..xx...."),
        "snare": ("....X..o.o..X..o", "....X.o..o.oX...", "....X..o.o..X.o."),
        "closed": ("xoxoxoxoxoxoxoxo", "x.xxx.xxx.xxx.xx"),
    },
    "disco": {
        "kick": ("X...X...X...X...", "X...X...X...X..x"),
        "snare": ("....X.......X...", "....X.......X..o"),
        "closed": ("x.o.x.o.x.o.x.o.", "xooxxooxxooxxoox"),
        "open": ("..x...x...x...x.", "..x...x...x...x."),
    },
    "half": {
        "kick": ("X.....x.........", "X..x......x.....", "X.........xx...."),
        "snare": ("........X.......", "........X......o"),
        "closed": ("x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x.", "x.x.x.xxx.x.xxxx"),
    },
    "ballad": {
        "kick": ("X.........x.....", "X.....x...x....."),
        "snare": ("....X.......X...", "....x.......X..."),
        "ride": ("x...x.x.x...x.x.", "x...x...x...x..."),
    },
}
LOUDNESS = {"X": 1.0, "x": 0.72, "o": 0.35}
FILLS = (
    ("snare", "............xxXX"),
    ("high snare", "........XxxxXxXX"),
    ("high middle low", "........xxXxxxXX"),
    ("high middle low snare", "....xxx.xxx.xxXX"),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece of the kit, when (seconds) and how hard (0..1)."""

    piece: str
    start: float
    velocity: float


def play_drums(rng: np.random.Generator, score: Score, canvas: Wave, samplerate: int) -> None:
    """Adds the drum stem to a canvas `[2, T]`."""
    kit = make_kit(rng, samplerate)
    side = 1.0 if rng.random() < 0.7 else -1.0
    width = float(rng.uniform(0.4, 1.0))
    for hit in hits(rng, score):
        wave = kit[hit.piece][int(rng.integers(len(kit[hit.piece])))]
        start = int((hit.start + rng.normal(0.0, 0.003)) * samplerate)
        pan = side * width * PANS.get(hit.piece, 0.0)
        place(canvas, wave, start, gain=hit.velocity, pan=pan)


def hits(rng: np.random.Generator, score: Score) -> list[Hit]:
    """The drum part of a song: a groove for each kind of section, fills and crashes."""
    style = STYLES[str(rng.choice(list(STYLES)))]
    grooves = {
        name: {piece: str(rng.choice(options)) for piece, options in style.items()}
        for name in ("verse", "chorus")
    }
    if rng.random() < 0.4 and "closed" in style:
        grooves["chorus"]["ride"] = grooves["chorus"].pop("closed")
    part: list[Hit] = []
    for bar, section in score.playing("drums"):
        groove = grooves["chorus" if section.name == "chorus" else "verse"]
        last = bar == section.end - 1
        fill = str(rng.choice([" ".join(f) for f in FILLS])) if last and rng.random() < 0.8 else ""
        part += _bar(rng, score, bar, groove, fill)
        if _crashes(rng, bar, section):
            part.append(Hit("crash", score.time(bar, 0.0), float(rng.uniform(0.6, 1.0))))
    return part


def _crashes(rng: np.random.Generator, bar: int, section: Section) -> bool:
    return bar == section.start and rng.random() < (0.9 if section.name == "chorus" else 0.3)


def _bar(
    rng: np.random.Generator, score: Score, bar: int, groove: dict[str, str], fill: str
) -> list[Hit]:
    *pieces, steps = fill.split() if fill else [""]
    begins = min((i for i, mark in enumerate(steps) if mark != "."), default=STEPS)

    def hit(piece: str, step: int, mark: str) -> Hit:
        velocity = float(np.clip(LOUDNESS[mark] * rng.normal(1.0, 0.1), 0.1, 1.2))
        return Hit(piece, score.time(bar, step * BEATS / STEPS), velocity)

    part = [
        hit(piece, step, mark)
        for piece, pattern in groove.items()
        for step, mark in enumerate(pattern)
        if mark != "." and (step < begins or piece == "kick")
    ]
    for step in range(begins, STEPS):
        if steps[step] != ".":
            turn = (step - begins) * len(pieces) // (STEPS - begins)
            part.append(hit(pieces[turn], step, steps[step]))
    return part
