"""Settings: every number that shapes the experiments' results, in one frozen place."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.results.protocol import MENDED, PAPER, Protocol


@dataclass(frozen=True)
class Settings:
    """What the experiments do; a run records it, and belongs to it.

    Attributes:
        overlap: share of a patch that a mask must exceed for the patch to be the object's.
        buffers: buffers around the object, in patches (paper: 0, 1 and 2).
        sizes: n of the random and gradient selections (paper: 5 to 250); those over the number of
            an image's visual tokens don't exist there.
        register_deviations: register tokens have a norm above mean + this many standard
            deviations of the image's visual tokens (paper, section 3.1).
        values: what stands in ablated tokens' place; the first is used with every selection, the
            others with the object and its matched random sets.
        max_new_tokens: most tokens of a description (the original: 200). One that names the object
            ends there, so that most are much shorter.
        gradient_nodes: most path points of integrated gradients.
        gradient_tolerance: completeness gap at which integrated gradients stop, as a share of the
            difference that they explain.
        tasks: which tasks to run.
        sweeps: "layer" and "head": knockouts of object+1 -> last position at every single layer,
            and at every single head of every layer; () for neither.
        seed: every random choice follows from it and from the object's id.
        protocol: which choices of the original code are repeated; none by default.
    """

    overlap: float = 0.0
    buffers: tuple[int, ...] = (0, 1, 2)
    sizes: tuple[int, ...] = (5, 10, 20, 40, 60, 100, 250)
    register_deviations: float = 2.0
    values: tuple[str, ...] = ("mean", "zero", "noise", "resampled")
    max_new_tokens: int = 200
    gradient_nodes: int = 13
    gradient_tolerance: float = 0.05
    tasks: tuple[str, ...] = ("describe", "poll", "ask")
    sweeps: tuple[str, ...] = ("layer", "head")
    seed: int = 0
    protocol: Protocol = MENDED


def settings_for(model: str, protocol: Protocol = MENDED) -> Settings:
    """The settings that suit a model and a protocol.

    The embedded model is done with every scene within 30 tokens. Integrated gradients for the
    original's BOS target take up to 129 points, where 13 (and its own 50) are too few to converge;
    fewer are taken where fewer are enough.

    Args:
        model: "embedded", or any other model.
        protocol: which choices of the original code are repeated.
    """
    short = model == "embedded" and protocol != PAPER
    return Settings(
        max_new_tokens=30 if short else 200,
        gradient_nodes=129 if protocol.gradient_of_bos else 13,
        protocol=protocol,
    )


def buffer_name(buffer: int) -> str:
    """The selection of an object with a buffer in patches: "object", "object+1", ..."""
    return "object" if buffer == 0 else f"object+{buffer}"
