"""The configuration of a run: its dataclasses, read once and checked."""
