"""An archived run in demucs_results/: its files, its sounds and its pages."""
