"""Monitoring of a run: log, TensorBoard, guard of the penalty, reference runs."""
