"""The table of `studies.finetune_trial`, as Markdown."""

from typing import Any

TITLES = {"nsdr": "nSDR", "sdr": "SDR"}


def table(trial: dict[str, Any]) -> str:
    """For each metric the value of each arm, and differences of arms with their intervals.

    An interval is of songs alone: another seed of the training would move every arm.
    """
    lines = [
        f"{trial['definitions']}; {trial['songs']} songs. Differences: song by song, with the 95 % "
        "interval over songs."
    ]
    for metric, title in TITLES.items():
        stems = list(trial["arms"]["base"]["values"][metric])
        lines += ["", f"| {title} | {' | '.join(stems)} |", "|---" * (len(stems) + 1) + "|"]
        for arm, content in trial["arms"].items():
            values = " | ".join(_number(content["values"][metric][stem]) for stem in stems)
            lines.append(f"| {arm} | {values} |")
        lines += ["", f"| {title}, difference | {' | '.join(stems)} |"]
        lines.append("|---" * (len(stems) + 1) + "|")
        for arm, content in trial["arms"].items():
            for other, gains in content["gains"].items():
                cells = " | ".join(_gain(gains[metric][stem]) for stem in stems)
                lines.append(f"| {arm} − {other} | {cells} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _gain(gain: dict[str, Any]) -> str:
    if gain["mean"] is None:
        return "–"
    if gain["interval"] is None:
        return f"{gain['mean']:+.2f}".replace("-", "−")
    low, high = gain["interval"]
    return f"{gain['mean']:+.2f} ({low:+.2f} … {high:+.2f})".replace("-", "−")
