"""Research that uses the package: the blind study, the trials of distilling and of fine-tuning."""
