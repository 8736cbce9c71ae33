"""Expectations: a run beside public ones, and the causes of low numbers that apply to it."""
