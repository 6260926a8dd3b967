"""Embedded scenes: composed images of everyday things of which everything is known."""

from retinoscope.data.scenes.classes import CLASSES, NAMES, THEMES, SceneClass
from retinoscope.data.scenes.compose import Scene, SceneObject, compose
from retinoscope.data.scenes.write import write_scenes

__all__ = [
    "CLASSES",
    "NAMES",
    "THEMES",
    "Scene",
    "SceneClass",
    "SceneObject",
    "compose",
    "write_scenes",
]
