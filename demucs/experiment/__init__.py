"""One training run on disk and on a cluster. Imports no torch."""
