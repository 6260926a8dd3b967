"""Every error Retinoscope raises on purpose, by what went wrong.

Each message says what was given, what was expected and what to do. Catch
`RetinoscopeError` to catch them all.
"""

from __future__ import annotations


class RetinoscopeError(Exception):
    """Base of every error raised on purpose.

    A message may hold the name of a file that is not UTF-8; its bytes are written as escapes, so
    that the message can be printed, stored and sent.
    """

    def __init__(self, message: str = "") -> None:
        """Keep the message, fit for any output."""
        super().__init__(message.encode("utf-8", "backslashreplace").decode("utf-8"))


class ModelError(RetinoscopeError):
    """A model, its weights or its processor can't be used as given."""


class TokenMapError(RetinoscopeError):
    """Visual tokens don't match the geometry that was expected of the image."""


class SelectionError(RetinoscopeError):
    """A set of tokens is empty, outside the sequence or of another image."""


class InterventionError(RetinoscopeError):
    """An intervention can't be applied, or did not take effect."""


class DataError(RetinoscopeError):
    """A data folder or file can't be used at all; the run can't start."""


class SampleError(DataError):
    """One sample of many can't be used; a run counts it as skipped and goes on."""


class RunError(RetinoscopeError):
    """A run folder can't be written, or belongs to another configuration."""


class DamagedError(RunError):
    """A file of a run folder is not as it was written; what it held can be measured again."""


class RegistrationError(RetinoscopeError):
    """What an installed distribution brings can't be had, or is none of ours."""
