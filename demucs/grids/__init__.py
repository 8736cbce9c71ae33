"""Dora grids: named sets of experiments."""
