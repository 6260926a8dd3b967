"""What a browser may ask: every field with its type and bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

LONGEST_QUESTION = 500
LONGEST_PREFIX = 100
MOST_KEPT = 8
"""Interventions that can be in force beside the present one."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Patches = Annotated[tuple[Count, ...], msgspec.Meta(max_length=20_000)]
Reading = Literal["rollout", "gradients"]


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture and a question: what names a recorded run.

    Attributes:
        image: the picture's key.
        question: as a user would write it.
        prefix: the beginning of the answer.
    """

    image: Key
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_QUESTION)]
    prefix: Annotated[str, msgspec.Meta(max_length=LONGEST_PREFIX)] = ""


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record a run."""

    prompt: Prompt


class Select(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Make a selection out of the one there is.

    Attributes:
        prompt: the run.
        patches: the present selection, as indices of visual tokens.
        how: what to do.
        object: the index of an example's object, for "object".
        seed: for "random".
    """

    prompt: Prompt
    patches: Patches
    how: Literal["grow", "invert", "register", "random", "object"]
    object: Count = 0
    seed: Seed = 0


class Ablation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ablate"):
    """Replace the selected tokens."""

    value: Literal["mean", "zero", "noise"]
    seed: Seed = 0


class Blocking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="block"):
    """Forbid the last position to read the selected tokens in layers `first` to `last`, both in."""

    first: Count
    last: Count


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some tokens and what is done to them, in force beside others."""

    patches: Patches
    action: Ablation | Blocking


Kept = Annotated[tuple[Step, ...], msgspec.Meta(max_length=MOST_KEPT)]


class Intervene(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask again with the selected tokens ablated or blocked, and the kept steps in force as well.

    Attributes:
        prompt: the run.
        patches: the selection; it may be empty where steps are kept.
        action: what is done to it.
        kept: the steps, in their order: of two that replace a token the later one holds.
    """

    prompt: Prompt
    patches: Patches
    action: Ablation | Blocking
    kept: Kept = ()


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Read the selected tokens through the logit lens."""

    prompt: Prompt
    patches: Patches


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Score every visual token.

    Attributes:
        prompt: the run.
        reading: attention rollout or integrated gradients.
        token: the token id that gradients explain; None is the likeliest next token.
    """

    prompt: Prompt
    reading: Reading
    token: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Write what is seen as Python."""

    prompt: Prompt
    patches: Patches = ()
    action: Ablation | Blocking | None = None
    kept: Kept = ()
    reading: Reading | None = None
    token: Annotated[int, msgspec.Meta(ge=0)] | None = None
