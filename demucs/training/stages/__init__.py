"""The stages of an epoch: train, valid, refresh of the teacher, test."""
