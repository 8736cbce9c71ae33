"""Scores of separated stems that need no ground truth."""
