"""Tests of the report in a real browser; `runs` makes the runs that it is of.

A package, so that `tests/unit` can use `tests.browser.runs` too.
"""
