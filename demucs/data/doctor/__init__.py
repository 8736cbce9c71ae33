"""The dataset doctor: finds what is wrong with the audio of a dataset before training does."""

from demucs.data.doctor.diagnosis import Diagnosis, diagnose
from demucs.data.doctor.findings import CHECKS, Finding, Severity
from demucs.data.doctor.judge import Wanted

__all__ = ["CHECKS", "Diagnosis", "Finding", "Severity", "Wanted", "diagnose"]
