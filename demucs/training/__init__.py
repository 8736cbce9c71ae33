"""The solver: stages, state, checkpoints."""
