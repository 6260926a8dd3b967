"""Embedded scenes: composed images of everyday things of which everything is known.

The first generation (`compose`) has one to three things apart from each other; the second
(`arrange`, `render`, `ask`) lays out overlaps, rows, groups and twins, with questions in steps.
"""

from retinoscope.data.scenes.arrange import arrange
from retinoscope.data.scenes.asking import FORMS, NEW_WORDS, Asked, Form, ask, draw_questions
from retinoscope.data.scenes.audit import Rates, audit, kept_forms
from retinoscope.data.scenes.classes import CLASSES, NAMES, THEMES, SceneClass
from retinoscope.data.scenes.compose import Scene, SceneObject, compose
from retinoscope.data.scenes.layouts import KINDS, Layout, LayoutKind, Thing
from retinoscope.data.scenes.pairs import MinimalPair, minimal_pairs
from retinoscope.data.scenes.render import Picture, render
from retinoscope.data.scenes.write import write_arranged, write_scenes

__all__ = [
    "CLASSES",
    "FORMS",
    "KINDS",
    "NAMES",
    "NEW_WORDS",
    "THEMES",
    "Asked",
    "Form",
    "Layout",
    "LayoutKind",
    "MinimalPair",
    "Picture",
    "Rates",
    "Scene",
    "SceneClass",
    "SceneObject",
    "Thing",
    "arrange",
    "ask",
    "audit",
    "compose",
    "draw_questions",
    "kept_forms",
    "minimal_pairs",
    "render",
    "write_arranged",
    "write_scenes",
]
