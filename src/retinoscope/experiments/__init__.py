"""Experiments: sets of conditions x tasks x samples, measured and returned as records.

An experiment is a folder here, or in any installed distribution that names its `Experiment` as an
entry point of the group `retinoscope.experiments`. What is imported here never takes torch, so
that a report can be made without it; `retinoscope.experiments.bench.Bench` does.
"""

from retinoscope.experiments.one_object import OneObject
from retinoscope.experiments.settings import Settings, settings_for
from retinoscope.experiments.target import Target, read_target, skip
from retinoscope.results.experiment import Experiment, Sheets, experiments
from retinoscope.results.own_settings import OwnSettings

__all__ = [
    "Experiment",
    "OneObject",
    "OwnSettings",
    "Settings",
    "Sheets",
    "Target",
    "experiments",
    "read_target",
    "settings_for",
    "skip",
]
