"""Scores without ground truth and distillation. Nothing here yet."""
