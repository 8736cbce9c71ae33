"""The scripts of `slurm_scripts/` on a real SLURM, which `cluster.py` starts on this machine.

`cluster.py` is the cluster; `desk.py` a user with a copy of the repository; the tests submit what a
user submits, unmodified, with tiny songs, a tiny model, fake GPUs and eight processes on the CPU.
"""
