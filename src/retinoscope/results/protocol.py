"""Protocol: which of the original code's choices a run repeats, each a switch of its own.

The paper's published code (github.com/clemneo/llava-interp) makes choices that shape its numbers
and that we take for mistakes. Corrected is our default; `PAPER` repeats them all, so that numbers
can be compared, and each can be switched alone, so that one sees what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from retinoscope.errors import RunError


@dataclass(frozen=True)
class Switch:
    """What one switch means.

    Attributes:
        name: the field of `Protocol`.
        original: what the original code does, and the switch repeats.
        here: what is done without it.
        tasks: for a choice of scoring, the tasks that it scores; () for a choice that shapes what
            is measured.
        measure: for a choice of scoring, what it moves: "decrease" or "drop"; else "".
        replaced: it only scores runs in which tokens were replaced, not knockouts.
    """

    name: str
    original: str
    here: str
    tasks: tuple[str, ...] = ()
    measure: str = ""
    replaced: bool = False

    @property
    def scoring(self) -> bool:
        """Every record holds what is needed to score it with and without the switch."""
        return bool(self.tasks)


def _measures(original: str, here: str) -> Any:
    return field(default=False, metadata={"original": original, "here": here})


def _scores(
    original: str, here: str, *tasks: str, measure: str = "decrease", replaced: bool = False
) -> Any:
    meaning = {"original": original, "here": here, "tasks": tasks, "measure": measure}
    return field(default=False, metadata={**meaning, "replaced": replaced})


@dataclass(frozen=True)
class Protocol:
    """Switches, all off by default; each repeats one choice of the original code.

    Those that shape what is measured need a run of their own to be compared. Those of scoring
    (`SWITCHES` says which) are applied to a run's records when its report is made: the records
    hold what both ways of scoring need. What each one means stands beside it and in `SWITCHES`.
    """

    gradient_of_bos: bool = _measures(
        "integrated gradients explain the logit of the first id that the tokenizer gives for "
        "“Yes”, which is its beginning-of-text mark where it adds one",
        "they explain the right token's logit",
    )
    gradient_of_poll: bool = _measures(
        "integrated gradients are taken under the poll's prompt, whatever the task",
        "they are taken under the task's own prompt",
    )
    gradient_span_over: bool = _measures(
        "the span that integrated gradients blank is one too long: the text token behind the "
        "image is ranked with the visual ones, and may be ablated",
        "only visual tokens are",
    )
    gradient_magnitude: bool = _measures(
        "tokens are ranked by the sum of the attributions' absolute values over the dimensions, "
        "in which what speaks for and against the answer counts alike",
        "they are ranked by the sum itself",
    )
    whole_pixel_pitch: bool = _measures(
        "patches are as many whole pixels wide as fit in the unresized crop, so that they drift "
        "from what the model sees, by up to a patch at the far edge",
        "a patch's box is exact, in fractions of a pixel",
    )
    dropped_vertices: bool = _measures(
        "vertices of an object's outline outside the centred square are dropped, and the rest is "
        "joined up; an outline with fewer than three left is skipped",
        "the outline is clipped to what the model sees",
    )
    substring_curation: bool = _measures(
        "curation takes an object as named where its class name occurs in the description as it "
        "stands, inside another word too; synonyms don't count",
        "a whole word counts, in any case, singular, plural or synonym",
    )
    double_norm: bool = _measures(
        "the lens norms the last layer's state, which is normed already, once more",
        "it is normed once, and the last layer gives the model's own logits",
    )
    always_a: bool = _measures(
        "polls ask for “a” thing and answers begin with “It is a”, also before a vowel",
        "“an” stands where it belongs",
    )
    keys_in_last_row: bool = _measures(
        "where attention from the last row of visual tokens to an object is knocked out, the "
        "object's tokens in that row are among the keys, each token itself with them",
        "they are not: the question is what flows into the row",
    )
    substring_match: bool = _scores(
        "a description is right where the class name occurs in it as it stands (“cat” in "
        "“located”), a poll where “yes” occurs in the answer",
        "whole words in any case, plurals and synonyms; for a poll the token “yes”",
        "describe",
        "poll",
    )
    prefix_match: bool = _scores(
        "a question's answer is right where it begins the class word's first token, which an empty "
        "answer does; plurals and synonyms are wrong",
        "the next token must begin the class word, its plural or a synonym",
        "ask",
    )
    unconditioned_poll: bool = _scores(
        "polls count for every curated object, also where the untouched model says no",
        "they count where the untouched model says yes",
        "poll",
    )
    wrong_baselines: bool = _scores(
        "questions that the untouched model gets wrong stay in the denominator, as wrong",
        "only questions that it gets right are counted",
        "ask",
    )
    clean_registers: bool = _scores(
        "an image without register tokens counts among their ablations, as a clean run",
        "it is left out: nothing was replaced in it",
        "describe",
        "poll",
        "ask",
        replaced=True,
    )
    top_token_drop: bool = _scores(
        "the probability drop is of whichever token came first, in each run its own",
        "it is of the right token",
        "describe",
        "poll",
        "ask",
        measure="drop",
    )


SWITCHES: tuple[Switch, ...] = tuple(Switch(f.name, **f.metadata) for f in fields(Protocol))
"""What each switch means, in the order of `Protocol`."""

CORRECTED = Protocol()
"""The default: none of the original's mistakes."""

PAPER = Protocol(**{switch.name: True for switch in SWITCHES})
"""Every choice of the original code that can be repeated."""

NOT_REPEATED: tuple[tuple[str, str], ...] = (
    (
        "Crowd regions crash the original.",
        "There is no number to repeat; they are decoded like any other region.",
    ),
    (
        "Under eager attention its blocked mask entries (False, that is 0) block nothing.",
        "Every knockout would be no knockout; the paper's figures show that this is not how they "
        "were made.",
    ),
    (
        "Its random sets are unseeded, and not matched to the object's size.",
        "Unseeded sets can't be resumed or compared. Sets of the paper's sizes are measured under "
        "either protocol, from all visual tokens as there, and matched ones beside them.",
    ),
    (
        "It sums gradients at 50 even points.",
        "They are too few for its own target, the beginning-of-text mark, as 13 of ours are: on "
        "the first embedded model these converged for 2 of 40 objects, 129 for 39. Ours are taken "
        "where the score bends, until the sum is right, and may be 129 for that target.",
    ),
    (
        "It reads polls over ten tokens, and noises whole patches for curation. It polls the "
        "noised image too, but doesn't use the answer.",
        "A poll's first token is its answer. Noise lies on the object's pixels alone, and the "
        "noised image is described, which is what decides.",
    ),
    (
        "It loads LLaVA-1.5's weights in 4 bits for descriptions and polls, and in 16 for the "
        "rest.",
        "One precision serves all, 16 bits on a GPU. From Python a quantization_config loads the "
        "weights in 4 bits.",
    ),
    (
        "It can put zero in the place of every selection.",
        "Zero, noise and another image's tokens are measured for the object's sets and for random "
        "ones of their size.",
    ),
    (
        "Its script for LLaVA-Phi's questions takes gradients under the question's own prompt.",
        "The protocol is that of its scripts for LLaVA-1.5; “paper,-gradient_of_poll” is that one. "
        "LLaVA-Phi's form of prompt is known.",
    ),
    (
        "Its lens pages show what text positions decode to as well.",
        "The lens experiment counts visual tokens; “retinoscope lens --text” writes the others.",
    ),
)
"""(What the original does, why no switch repeats it.)"""

_PRESETS = {"corrected": CORRECTED, "paper": PAPER}
_OLD_NAMES = {"mended": "corrected"}


def parse_protocol(text: str) -> Protocol:
    """A protocol from its name, with switches added or taken away.

    Args:
        text: "corrected" (or its old name, "mended") or "paper", then any number of ",+switch" or
            ",-switch", such as "paper,-prefix_match".

    Raises:
        RunError: an unknown name.
    """
    preset, *changes = (part.strip() for part in text.split(","))
    preset = _OLD_NAMES.get(preset, preset)
    names = [switch.name for switch in SWITCHES]
    unknown = [c for c in changes if c[:1] not in ("+", "-") or c[1:] not in names]
    if preset not in _PRESETS or unknown:
        raise RunError(
            f"There is no protocol {text!r}. Give {' or '.join(_PRESETS)}, and after it, if you "
            f"like, +switch or -switch, separated by commas; the switches are {', '.join(names)}."
        )
    return replace(_PRESETS[preset], **{change[1:]: change[0] == "+" for change in changes})


def protocol_name(protocol: Protocol) -> str:
    """A protocol in words that `parse_protocol` reads: "corrected", "paper,-prefix_match", ..."""
    ways = []
    for name, preset in _PRESETS.items():
        changes = [
            f"{'+' if getattr(protocol, switch.name) else '-'}{switch.name}"
            for switch in SWITCHES
            if getattr(protocol, switch.name) != getattr(preset, switch.name)
        ]
        ways.append([name, *changes])
    return ",".join(min(ways, key=len))


def recorded_protocol(configuration: Mapping[str, Any]) -> Protocol:
    """The protocol of a run, from its manifest's configuration; corrected where it names none.

    Raises:
        RunError: it has switches that this version doesn't know.
    """
    switches = configuration.get("settings", {}).get("protocol", {})
    unknown = sorted(switches.keys() - {switch.name for switch in SWITCHES})
    if unknown:
        raise RunError(
            f"The run's protocol has switches that this version doesn't know "
            f"({', '.join(unknown)}); read it with the version that wrote it."
        )
    return Protocol(**switches)
