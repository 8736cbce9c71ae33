"""Processes that train together: rendezvous, process group, averages over ranks."""
