"""Hybrid Demucs for music source separation: train, export, evaluate, separate.

Importing this package imports neither torch nor Hydra; ask for the submodule you need.
"""

__version__ = "0.1.0"
