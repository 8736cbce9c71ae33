"""Boxes and arrows, in inches: for diagrams whose text must keep its size."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Polygon
from matplotlib.path import Path

INK = "#333333"
GREY = "#777777"


class Diagram:
    """A white sheet; x goes right and y goes up, in inches."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = plt.figure(figsize=(width, height), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.axis("off")

    def box(
        self,
        x: float,
        y: float,
        widths: tuple[float, float],
        height: float,
        colour: str,
        lines: list[str],
    ) -> None:
        """Centred on x and y; `widths` are those of its upper and lower edge.

        The first line is bold; all are made smaller where the box is too narrow for one.
        """
        top, bottom, half = widths[0] / 2, widths[1] / 2, height / 2
        corners = [(x - top, y + half), (x + top, y + half),
                   (x + bottom, y - half), (x - bottom, y - half)]  # fmt: skip
        self.axes.add_patch(Polygon(corners, closed=True, facecolor=tint(colour), edgecolor=colour,
                                    linewidth=1.3, joinstyle="round", zorder=3))  # fmt: skip
        step = min(0.19, 0.94 * height / len(lines))
        for number, line in enumerate(lines):
            place = y + step * ((len(lines) - 1) / 2 - number)
            room = min(widths) + abs(widths[0] - widths[1]) / 3 - 0.1
            self.words(x, place, line, room=room, size=10.5 if number == 0 else 8.6,
                       weight="bold" if number == 0 else "normal")  # fmt: skip

    def words(
        self, x: float, y: float, text: str, *, size: float = 8.6, room: float | None = None,
        colour: str = INK, weight: str = "normal", align: str = "center",
    ) -> None:  # fmt: skip
        """Text centred on y; in no more than `room` inches."""
        drawn = self.axes.text(x, y, text, fontsize=size, color=colour, fontweight=weight,
                               ha=align, va="center", zorder=5, linespacing=1.35)  # fmt: skip
        if room is not None:
            taken = drawn.get_window_extent(self.figure.canvas.get_renderer()).width
            taken /= self.figure.dpi
            drawn.set_fontsize(size * min(1.0, room / max(taken, 1e-9)))

    def arrow(
        self, points: list[tuple[float, float]], *, dashed: bool = False, head: bool = True
    ) -> None:
        """A line through the points, with rounded corners."""
        path = rounded(points)
        colour = GREY if dashed else INK
        self.axes.add_patch(FancyArrowPatch(
            path=path, arrowstyle="-|>,head_length=4.5,head_width=2.4" if head else "-",
            color=colour, linewidth=1.2, linestyle=(0, (4, 2.5)) if dashed else "-",
            shrinkA=0, shrinkB=0, joinstyle="round", zorder=2,
        ))  # fmt: skip

    def plus(self, x: float, y: float, radius: float = 0.12) -> None:
        """The sum of what comes in."""
        self.axes.add_patch(plt.Circle((x, y), radius, facecolor="white", edgecolor=INK,
                                       linewidth=1.3, zorder=4))  # fmt: skip
        arm = 0.6 * radius
        for ends in (([x - arm, x + arm], [y, y]), ([x, x], [y - arm, y + arm])):
            self.axes.plot(*ends, color=INK, linewidth=1.3, zorder=5)


def tint(colour: str, share: float = 0.16) -> tuple[float, ...]:
    """A light shade of a colour, the same in print as on a screen: it is not transparent."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return tuple(1 - share * (1 - value) for value in (red, green, blue))


def rounded(points: list[tuple[float, float]], radius: float = 0.1) -> Path:
    """A path through points, whose corners are arcs."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        vertices += [towards(corner, before, radius), corner, towards(corner, after, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def towards(
    start: tuple[float, float], end: tuple[float, float], far: float
) -> tuple[float, float]:
    """The point `far` from the start on the way to the end, or half way if that is nearer."""
    across, along = end[0] - start[0], end[1] - start[1]
    length = max((across**2 + along**2) ** 0.5, 1e-9)
    share = min(far / length, 0.5)
    return start[0] + share * across, start[1] + share * along
