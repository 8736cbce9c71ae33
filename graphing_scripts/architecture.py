#!/usr/bin/env python3
"""A picture of a network: its U-Nets, where they meet, and the shape that each layer gives.

    python3 graphing_scripts/architecture.py docs/architecture.json --out docs

Draws `architecture.png` and `.svg` from the JSON of `tools.architecture`, and from nothing else,
into `--out` or beside it. It knows demucs, hdemucs and htdemucs.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from _diagram import Diagram
from _style import COLOURS, parser, save, warn

from demucs.process.command import run_command

FORMAT = "demucs-architecture-1"
NAMES = {"demucs": "Demucs", "hdemucs": "HDemucs", "htdemucs": "HTDemucs"}
COLOUR = {"frequency": COLOURS[0], "time": COLOURS[1], "shared": COLOURS[2], "ends": "#555555"}
WIDE, NARROW, HIGH = 1.94, 1.54, 0.52  # inches of a layer's box
LONG = 26  # characters of what is in a layer, above which it takes two lines
STEP = 0.74  # from one level to the next
SPINE, GAP = (0.52, 0.7), 0.22  # heights of the boxes in the middle (of two and three lines)


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("network", type=Path, help="JSON of tools.architecture")
    return command.parse_args(argv)


def main() -> None:
    options = parse_options()
    try:
        diagram = draw(read_network(options.network))
    except ValueError as error:
        warn("architecture", error)
        sys.exit(1)
    save(diagram.figure, options.out or options.network.parent, "architecture")


def read_network(path: Path) -> dict[str, Any]:
    """The description of a network; ValueError if the file is none."""
    try:
        network = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a network: {error}") from None
    if not isinstance(network, dict) or network.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a description of a network ({FORMAT}): make one by "
            "python3 -m tools.architecture --out FILE"
        )
    if network.get("model") not in NAMES:
        raise ValueError(
            f"{path} has the network {network.get('model')!r}: this draws {', '.join(NAMES)}"
        )
    missing = sorted({"layers", "mixture", "stems", "parameters", "arguments"} - set(network))
    if missing or not network["layers"]:
        raise ValueError(f"{path} lacks {', '.join(missing) or 'layers'}: make it again")
    return network


class Picture:
    """The positions of all boxes and branches."""

    def __init__(self, network: dict[str, Any]) -> None:
        self.network, layers = network, network["layers"]
        self.branches = [name for name in ("frequency", "time") if self.of(name, "encoder")]
        both = len(self.branches) == 2
        # Encoders stand inside and decoders outside, so that no two lines have to cross.
        self.x = {("frequency", "decoder"): 1.35, ("frequency", "encoder"): 3.55,
                  ("time", "encoder"): 5.65, ("time", "decoder"): 7.85}  # fmt: skip
        if not both:
            self.x = {(self.branches[0], "decoder"): 1.9, (self.branches[0], "encoder"): 4.6}
        insides = [x for (_, kind), x in self.x.items() if kind == "encoder"]
        self.centre, self.width = sum(insides) / len(insides), 9.2 if both else 6.5
        self.levels = 1 + max(layer["level"] for layer in layers if layer["branch"] != "shared")
        self.spine = [*self.of("shared", "encoder")]
        self.spine += [network["middle"]] if network["middle"] else []
        self.spine += self.of("shared", "decoder")
        self.entry = 0.5 if network["meeting"] else 0.14
        self.lines = [inner(layer, network) for layer in self.spine]
        below = self.entry + sum(high + GAP for high in map(self.high, range(len(self.spine))))
        self.first = (self.levels - 0.5) * STEP + below + 0.62  # y of the outermost level
        self.height = self.first + 3.3

    def of(self, branch: str, kind: str) -> list[dict[str, Any]]:
        """The layers of a branch, in the order in which they run."""
        return [layer for layer in self.network["layers"]
                if layer["branch"] == branch and layer["kind"] == kind]  # fmt: skip

    def y(self, level: int) -> float:
        return self.first - level * STEP

    def high(self, number: int) -> float:
        """Height of a box in the middle."""
        return SPINE[len(self.lines[number]) > 2]

    def spine_y(self, number: int) -> float:
        above = sum(self.high(upper) + GAP for upper in range(number))
        return self.y(self.levels - 1) - STEP / 2 - self.entry - above - self.high(number) / 2

    def widths(self, layer: dict[str, Any]) -> tuple[float, float]:
        """Widths of the upper and lower edge: the logarithm of the frequencies or samples there."""
        sizes = [math.log(encoder[end][1]) for encoder in self.of(layer["branch"], "encoder")
                 for end in ("input", "output")]  # fmt: skip
        least, most = min(sizes), max(sizes)

        def width(shape: list[int]) -> float:
            share = (math.log(shape[1]) - least) / max(most - least, 1e-9)
            return NARROW + (WIDE - NARROW) * min(max(share, 0.0), 1.0)

        outer, inner = ("input", "output")[:: 1 if layer["kind"] == "encoder" else -1]
        return width(layer[outer]), width(layer[inner])


def draw(network: dict[str, Any]) -> Diagram:
    """The picture of a network as `read_network` gives it."""
    picture = Picture(network)
    sheet = Diagram(picture.width, picture.height)
    titles(sheet, picture)
    outsides(sheet, picture)
    for branch in picture.branches:
        layers(sheet, picture, branch)
    spine(sheet, picture)
    return sheet


def titles(sheet: Diagram, picture: Picture) -> None:
    network = picture.network
    arguments, counts = network["arguments"], network["parameters"]
    kind = "" if network["model"] == "demucs" or arguments.get("cac") else ", amplitudes"
    name = f"{NAMES[network['model']]}, {arguments['channels']} channels{kind}"
    name += f" ({network['signature']})" if network.get("signature") else ""
    audio = {1: "mono", 2: "stereo"}.get(network["mixture"][0], f"{network['mixture'][0]} channels")
    top = picture.height - 0.3
    sheet.words(0.35, top, name, size=13.5, weight="bold", align="left")
    facts = f"{millions(counts['total'])} parameters · shapes for {network['seconds']:g} s {audio} "
    facts += f"at {network['samplerate'] / 1000:g} kHz"
    if len(picture.branches) == 2:
        sheet.words(picture.width - 0.35, top, facts, align="right", room=picture.width - 4.2)
    else:
        sheet.words(0.35, top - 0.27, facts, align="left", room=2.85)
    notes = ("A box: the shape it gives, channels × frequencies × frames or channels × samples.\n"
             "conv 8/4: convolution of kernel 8 and stride 4 (convT: transposed). "
             "Dashed: skip connections, added.")  # fmt: skip
    sheet.words(picture.width / 2, 0.34, notes, room=picture.width - 0.4, colour="#555555")


def outsides(sheet: Diagram, picture: Picture) -> None:
    """Mixture and stems, the STFT and its inverse."""
    network, centre, top = picture.network, picture.centre, picture.height
    wide = 3.0 if len(picture.branches) == 2 else 2.6
    stems_y, sum_y, mixture_y, stft_y = top - 0.83, top - 1.33, top - 1.8, picture.first + STEP
    sheet.box(centre, stems_y, (wide, wide), 0.52, COLOUR["ends"],
              [shape(network["stems"]), " · ".join(network["sources"])])  # fmt: skip
    sheet.box(centre, mixture_y, (wide, wide), 0.42, COLOUR["ends"],
              [f"mixture  {shape(network['mixture'])}"])  # fmt: skip
    both = len(picture.branches) == 2
    for branch in picture.branches:
        spectral = branch == "frequency"
        inside, outside = (picture.x[branch, kind] for kind in ("encoder", "decoder"))
        first = picture.y(0) + HIGH / 2
        if spectral:
            spectrum = network["spectrogram"]
            real = spectrum["complex_as_channels"]
            sheet.box(inside, stft_y, (WIDE, WIDE), HIGH, COLOUR["ends"],
                      [shape(spectrum["features"]), f"STFT {spectrum['nfft']}/{spectrum['hop']}, "
                       + ("real, imag." if real else "magnitudes")])  # fmt: skip
            sheet.box(outside, stft_y, (WIDE, WIDE), HIGH, COLOUR["ends"],
                      [shape(network["stems"]), way_back(network)])  # fmt: skip
            sheet.arrow([(inside, mixture_y - 0.21), (inside, stft_y + HIGH / 2)])
            sheet.arrow([(inside, stft_y - HIGH / 2), (inside, first)])
            sheet.arrow([(outside, first), (outside, stft_y - HIGH / 2)])
        else:
            sheet.arrow([(inside, mixture_y - 0.21), (inside, first)])
        last = stft_y + HIGH / 2 if spectral else first
        if both:
            end = centre + math.copysign(0.12, outside - centre)
            sheet.arrow([(outside, last), (outside, sum_y), (end, sum_y)])
        else:
            sheet.arrow([(outside, last), (outside, stems_y), (centre - wide / 2, stems_y)])
        middle = (outside + (centre + math.copysign(wide / 2, outside - centre))) / 2
        if both:
            sheet.words(middle, mixture_y + 0.11, f"{branch} branch", size=11, weight="bold",
                        colour=COLOUR[branch], room=1.5)  # fmt: skip
            sheet.words(middle, mixture_y - 0.11, millions(network["parameters"][branch]))
    if both:
        sheet.plus(centre, sum_y)
        sheet.arrow([(centre, sum_y + 0.12), (centre, stems_y - 0.26)])


def way_back(network: dict[str, Any]) -> str:
    arguments = network["arguments"]
    if network["spectrogram"]["complex_as_channels"]:
        return "inverse STFT"
    rounds = arguments.get("wiener_iters", 0)
    if rounds > 0:
        return f"Wiener filter ({rounds}), iSTFT"
    return "mask, iSTFT" if rounds < 0 else "mixture's phase, iSTFT"


def layers(sheet: Diagram, picture: Picture, branch: str) -> None:
    """The two columns of a branch, with its skip connections."""
    inside, outside = (picture.x[branch, kind] for kind in ("encoder", "decoder"))
    right = outside > inside
    edges: dict[tuple[str, int], float] = {}
    for kind, x in (("encoder", inside), ("decoder", outside)):
        for layer in picture.of(branch, kind):
            widths, y = picture.widths(layer), picture.y(layer["level"])
            sheet.box(x, y, widths, HIGH, COLOUR[branch],
                      [shape(layer["output"]), *halves(contents(layer))])  # fmt: skip
            edges[kind, layer["level"]] = sum(widths) / 4
            if layer["level"]:
                ends = [(x, y + STEP - HIGH / 2), (x, y + HIGH / 2)]
                sheet.arrow(ends if kind == "encoder" else ends[::-1])
    for layer in picture.of(branch, "encoder"):
        level, y = layer["level"], picture.y(layer["level"])
        if not layer["only_convolution"]:
            sign = 1 if right else -1
            sheet.arrow([(inside + sign * edges["encoder", level], y),
                         (outside - sign * edges["decoder", level], y)], dashed=True)  # fmt: skip
    if not picture.spine and picture.network["model"] != "hdemucs":
        low = picture.y(max(level for _, level in edges)) - HIGH / 2
        sheet.arrow([(inside, low), (inside, low - 0.3), (outside, low - 0.3), (outside, low)])


def spine(sheet: Diagram, picture: Picture) -> None:
    """The layers in the middle: what goes into them, how they follow, and what comes out."""
    if not picture.spine:
        return
    network, centre, meeting = picture.network, picture.centre, picture.network["meeting"]
    both = len(picture.branches) == 2
    wide = 3.9 if both else 2.9
    middle = network["middle"]
    for number, part in enumerate(picture.spine):
        y = picture.spine_y(number)
        high = picture.high(number)
        sheet.box(centre, y, (wide, wide), high, COLOUR["shared"], picture.lines[number])
        if number:  # decoders of HDemucs start from zeros: all comes through the skips
            turn = part.get("kind") != picture.spine[number - 1].get("kind")
            sheet.arrow([(centre, y + high / 2 + GAP), (centre, y + high / 2)],
                        dashed=turn and middle is None)  # fmt: skip
    pairs = len(picture.of("shared", "encoder"))
    for number in range(pairs if middle else pairs - 1):
        x, out = centre + wide / 2, 0.18 + 0.14 * (pairs - 1 - number)
        begin, end = picture.spine_y(number), picture.spine_y(len(picture.spine) - 1 - number)
        sheet.arrow([(x, begin), (x + out, begin), (x + out, end + 0.14), (x, end + 0.14)],
                    dashed=True)  # fmt: skip
    top, low = picture.spine_y(0) + picture.high(0) / 2, picture.spine_y(len(picture.spine) - 1)
    for branch in picture.branches:
        inside, outside = (picture.x[branch, kind] for kind in ("encoder", "decoder"))
        deepest = max(layer["level"] for layer in picture.of(branch, "encoder"))
        bottom = picture.y(deepest) - HIGH / 2
        if meeting:
            sign = math.copysign(1, inside - centre)
            sheet.arrow(
                [(inside, bottom), (inside, top + 0.34), (centre + sign * 0.12, top + 0.34)]
            )
        else:
            sheet.arrow([(inside, bottom), (inside, top)])
        side = centre + math.copysign(wide / 2, outside - centre)
        exit_y = low - 0.14 if pairs else low
        sheet.arrow([(side, exit_y), (outside, exit_y), (outside, bottom)])
    if meeting:
        sheet.plus(centre, top + 0.34)
        sheet.arrow([(centre, top + 0.22), (centre, top)])
        sheet.words(picture.x["time", "decoder"] - 0.1, low - 0.32, shape(meeting["given_back"])
                    + ", before convT", align="center", room=2.2)  # fmt: skip
    if both:
        halfway = (picture.spine_y(0) + low) / 2
        sheet.words(2.05, halfway + 0.11, "shared", size=11, weight="bold", colour=COLOUR["shared"])
        count = middle["parameters"] if middle and not pairs else network["parameters"]["shared"]
        sheet.words(2.05, halfway - 0.11, millions(count))


def inner(part: dict[str, Any], network: dict[str, Any]) -> list[str]:
    """Lines of a layer in the middle, or of what lies between encoders and decoders."""
    if part is network["middle"]:
        shapes = " and ".join(shape(output) for output in part["outputs"])
        if part["name"] == "lstm":
            return [shapes, f"BLSTM of {part['layers']} layers"]
        return [
            "cross-domain transformer",
            f"{part['layers']} layers, {part['heads']} heads",
            shapes,
        ]
    first, *further = contents(part).split(" · ")
    if part["kind"] == "decoder":
        return [shape(part["output"]), contents(part)]
    if network["meeting"] and part["name"] == network["meeting"]["into"]:
        first += " of frequencies, + time branch"
    return [shape(part["output"]), first, *([" · ".join(further)] if further else [])]


def contents(layer: dict[str, Any]) -> str:
    """The contents of a layer, in short."""
    name = "conv" if layer["kind"] == "encoder" else "convT"
    words = [f"{name} {layer['kernel'][0]}/{layer['stride'][0]}"]
    words += [f"{layer['bands']} bands"] if layer["bands"] > 1 else []
    inside = [word for key, word in (("lstm", "BLSTM"), ("attention", "attention")) if layer[key]]
    extras = [" + ".join(["DConv", *inside])] if layer["dconv"] else []
    if layer["rewrite"]:  # the decoder has it first
        extras = [*extras, "GLU"] if layer["kind"] == "encoder" else ["GLU", *extras]
    words = [*words, *extras] if layer["kind"] == "encoder" else [*extras, *words]
    return " · ".join([*words, "norm"] if layer["norm"] else words)


def halves(text: str) -> list[str]:
    """One line, or two where it is long."""
    parts = text.split(" · ")
    if len(text) <= LONG or len(parts) < 2:
        return [text]
    cut = min(range(1, len(parts)), key=lambda k: abs(len(" · ".join(parts[:k])) - len(text) / 2))
    return [" · ".join(parts[:cut]), " · ".join(parts[cut:])]


def shape(values: list[int]) -> str:
    return " × ".join(f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for value in values)


def millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


if __name__ == "__main__":
    run_command(main)
