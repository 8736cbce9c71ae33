"""Research that uses the package: the blind study and the trial of distilled data."""
