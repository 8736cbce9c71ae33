"""The parts of `studies.finetune_trial`."""
