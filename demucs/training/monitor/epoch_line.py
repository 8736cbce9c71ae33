"""Metrics of an epoch as a line of the log."""

from collections.abc import Mapping
from typing import Any


def describe(metrics: Mapping[str, Any]) -> str:
    """The main metrics of an epoch on one line."""
    train, valid = metrics["train"], metrics["valid"]
    parts = []
    if "loss" in train:
        parts.append(f"train loss {train['loss']:.5f}")
    if train.get("skipped"):
        parts.append(f"{train['skipped']:.0%} of steps skipped")
    parts.append(f"valid loss {valid['loss']:.5f}, {_ratios(valid)} ({valid['bname']})")
    if "test" in metrics and "nsdr" in metrics["test"]:
        parts.append(f"test {_ratios(metrics['test'])}")
    if "cut" in metrics:
        parts.append(f"cut after {metrics['cut']} batches, since the songs changed")
    if "seconds" in metrics:
        seconds = metrics["seconds"]
        parts.append(f"{seconds['train']:.0f} + {seconds['valid']:.0f} s")
    return " | ".join(parts)


def _ratios(measures: Mapping[str, Any]) -> str:
    sdr = measures.get("sdr")
    return f"nSDR {measures['nsdr']:.2f} dB" + ("" if sdr is None else f", SDR {sdr:.2f} dB")
