"""Names of demo songs: readable, unique within a split, never the same in two splits."""

import numpy as np

# Each split has colours of its own, so no name can be in two splits.
COLOURS = {
    "train": (
        "Amber", "Crimson", "Silver", "Golden", "Copper", "Ivory", "Scarlet", "Indigo", "Emerald",
        "Violet", "Cobalt", "Russet", "Olive", "Pearl", "Ochre", "Sable", "Coral", "Jade",
    ),
    "valid": ("Azure", "Maroon", "Lilac", "Bronze", "Umber", "Teal"),
    "test": ("Saffron", "Turquoise", "Magenta", "Slate", "Hazel", "Cerulean"),
}  # fmt: skip
PLACES = (
    "Harbour", "Avenue", "Meadow", "Station", "Lantern", "River", "Window", "Garden", "Bridge",
    "Island", "Orchard", "Tower", "Valley", "Market", "Shore", "Forest", "Railway", "Canyon",
    "Rooftop", "Lighthouse", "Boulevard", "Mirror", "Desert", "Fountain", "Castle", "Prairie",
)  # fmt: skip


def song_name(seed: int, split: str, index: int) -> str:
    """A folder name like `Demo 007 - Amber Harbour`; the number is index + 1."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, list(COLOURS).index(split), index)))
    colours = COLOURS[split]
    colour, place = colours[rng.integers(len(colours))], PLACES[rng.integers(len(PLACES))]
    return f"Demo {index + 1:03d} - {colour} {place}"
