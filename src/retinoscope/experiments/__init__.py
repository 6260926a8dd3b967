"""Experiments: sets of conditions x tasks x samples, measured and returned as records.

To add one, write one file here with a function that takes a checkpoint and a subject and returns
records; then name it in `retinoscope.runs.plan`.
"""

from retinoscope.experiments.ablation import ablation
from retinoscope.experiments.curation import curate
from retinoscope.experiments.knockout import knockout
from retinoscope.experiments.lens import ablated_sheet, lens, lens_sheet
from retinoscope.experiments.settings import Settings, settings_for
from retinoscope.experiments.subject import Subject, read_subject

__all__ = [
    "Settings",
    "Subject",
    "ablated_sheet",
    "ablation",
    "curate",
    "knockout",
    "lens",
    "lens_sheet",
    "read_subject",
    "settings_for",
]
