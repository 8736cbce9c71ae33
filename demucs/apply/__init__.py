"""Inference engine: a network over a tensor or a stream, by overlap-add of segments."""

from demucs.apply.tensor import apply_model

__all__ = ["apply_model"]
