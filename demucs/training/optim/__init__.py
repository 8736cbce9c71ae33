"""Optimisation: optimiser, learning rate, averages, precision, penalty, quantisation."""
