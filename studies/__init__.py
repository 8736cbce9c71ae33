"""Research that uses the package: the blind study and the trials of distilled data and of fine-tuning."""
