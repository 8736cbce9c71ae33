"""Quality of separated stems without ground truth, and what is made of it.

A `Teacher` separates; scores look at what it does (`scores`); a `Calibration` or a small network
turns that into a `Quality`, the predicted SDR of each stem with an interval; and `distil` makes
training data of the songs whose quality is good enough.
"""
