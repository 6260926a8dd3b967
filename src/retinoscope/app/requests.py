"""What a browser may ask: every field with its type and bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

LONGEST_QUESTION = 500
LONGEST_PREFIX = 100
LONGEST_WORD = 60
MOST_IMAGES = 4
"""Images that one prompt can show."""
MOST_KEPT = 8
"""Interventions that can be in force beside the present one."""
MOST_WORDS = 12
"""Tokens of the answer that are explained together."""
STRONGEST = 100.0
"""Largest strength of a steering vector, either sign, in norms of the states it is added to."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Patches = Annotated[tuple[Count, ...], msgspec.Meta(max_length=20_000)]
Heads = Annotated[tuple[Count, ...], msgspec.Meta(max_length=1000)]
Places = Annotated[tuple[Count, ...], msgspec.Meta(max_length=MOST_WORDS)]
Images = Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=MOST_IMAGES)]
Reading = Literal["attention", "rollout", "gradient_x_input", "integrated_gradients"]


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pictures and a question: what names a recorded run.

    Attributes:
        images: the pictures' keys, in the order in which the model is shown them.
        question: as a user would write it.
        prefix: the beginning of the answer.
    """

    images: Images
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
        image: which of the prompt's images, for "object".
        object: the index of that image's object, for "object".
        seed: for "random".
    """

    prompt: Prompt
    patches: Patches
    how: Literal["grow", "invert", "register", "random", "object"]
    image: Count = 0
    object: Count = 0
    seed: Seed = 0


class Ablation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ablate"):
    """Replace the selected tokens."""

    value: Literal["mean", "zero", "noise"]
    seed: Seed = 0


class KnockingOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="knockout"):
    """Knock out attention from the last position to the selected tokens.

    Attributes:
        first, last: the layers, both included.
        heads: in those heads; () is all.
    """

    first: Count
    last: Count
    heads: Heads = ()


class Patching(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="patch"):
    """Give the selected tokens the states that another image has at the same places.

    Attributes:
        image: the other picture's key; it stands in the place of the tokens' own image.
        layer: at whose input.
    """

    image: Key
    layer: Count


class Steering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="steer"):
    """Add the unembedding direction of a word to the selected tokens.

    Attributes:
        word: the word, which stands for its first token.
        layer: at whose input.
        strength: the vector's length, in mean norms of the selected tokens' states there; below 0
            it leads away from the word.
    """

    word: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WORD)]
    layer: Count
    strength: Annotated[float, msgspec.Meta(ge=-STRONGEST, le=STRONGEST)]


Action = Ablation | KnockingOut | Patching | Steering


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some tokens and what is done to them, in force beside others."""

    patches: Patches
    action: Action


Kept = Annotated[tuple[Step, ...], msgspec.Meta(max_length=MOST_KEPT)]


class Intervene(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask again with something done to the selected tokens, and the kept steps in force as well.

    Attributes:
        prompt: the run.
        patches: the selection; it may be empty where steps are kept.
        action: what is done to it.
        kept: the steps, in their order: of two that replace a token the later one holds.
    """

    prompt: Prompt
    patches: Patches
    action: Action
    kept: Kept = ()


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Read the selected tokens through a lens.

    Attributes:
        prompt: the run.
        patches: what is read.
        lens: "" is the logit lens; or one of the session's fitted ones, by its name.
    """

    prompt: Prompt
    patches: Patches
    lens: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Score every visual token.

    Attributes:
        prompt: the run.
        reading: by which method.
        places: which tokens of the clean answer are explained, from 0; () is its first.
        token: of the gradients, the id of another token than the answer's own, which is explained
            at the answer's first place.
        queries: of attention and rollout, the positions whose reading is shown, in place of those
            that predict the answer's tokens.
        keys: of attention, the positions over which each head is summed up; () is all visual ones.
        layer, head: of attention, a single one; None is the mean of all.
        steps: of attention and rollout, what is in force while they are read; () is the clean run.
    """

    prompt: Prompt
    reading: Reading
    places: Places = ()
    token: Annotated[int, msgspec.Meta(ge=0)] | None = None
    queries: Patches = ()
    keys: Patches = ()
    layer: Count | None = None
    head: Count | None = None
    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=MOST_KEPT + 1)] = ()


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Write what is seen as Python."""

    prompt: Prompt
    patches: Patches = ()
    action: Action | None = None
    kept: Kept = ()
    lens: Annotated[str, msgspec.Meta(max_length=100)] = ""
    overlay: Overlay | None = None
