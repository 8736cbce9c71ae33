"""The dataset doctor: finds what is wrong with the audio of a dataset before training does."""

from demucs.data.doctor.findings import CHECKS, Finding, Severity
from demucs.data.doctor.judge import Wanted
from demucs.data.doctor.run import Diagnosis, diagnose

__all__ = ["CHECKS", "Diagnosis", "Finding", "Severity", "Wanted", "diagnose"]
