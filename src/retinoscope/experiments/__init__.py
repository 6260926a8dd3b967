"""Experiments: sets of conditions x tasks x samples, measured and returned as records.

An experiment is a folder here, or in any installed distribution that names its `Experiment` as an
entry point of the group `retinoscope.experiments`. What is imported here never takes torch, so
that a report can be made without it; `retinoscope.experiments.bench.Bench` does.
"""

from retinoscope.experiments.settings import Settings, settings_for
from retinoscope.experiments.subject import Subject, read_subject
from retinoscope.results.experiment import Experiment, Sheets, experiments

__all__ = [
    "Experiment",
    "Settings",
    "Sheets",
    "Subject",
    "experiments",
    "read_subject",
    "settings_for",
]
