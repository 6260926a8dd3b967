"""The figures of the paper (arXiv 2410.07149) that we know, to print beside ours.

They are LLaVA-1.5-7B's on COCO, from the paper's text; every other cell of its tables is unknown
to us and shown as a dash, never guessed. Shares are 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

CITATION = (
    "Clement Neo, Luke Ong, Philip Torr, Mor Geva, David Krueger, Fazl Barez: Towards "
    "Interpreting Visual Information Processing in Vision-Language Models. ICLR 2025, "
    "arXiv:2410.07149."
)

BIBTEX = """@inproceedings{neo2025towards,
  title     = {Towards Interpreting Visual Information Processing in Vision-Language Models},
  author    = {Neo, Clement and Ong, Luke and Torr, Philip and Geva, Mor and Krueger, David
               and Barez, Fazl},
  booktitle = {International Conference on Learning Representations},
  year      = {2025},
  eprint    = {2410.07149},
  archivePrefix = {arXiv}
}"""

MODEL = "LLaVA-1.5-7B"

_WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")

_DECREASE = {
    ("object+1", 0, "describe"): 0.718,
    ("object+1", 0, "poll"): 0.513,
    ("object+1", 0, "ask"): 0.867,
    ("random", 40, "describe"): 0.024,
    ("random", 40, "poll"): 0.0,
    ("random", 40, "ask"): 0.0,
}

_TOKENS = {("object+1", 0): 33.4, ("random", 40): 40.0}

# The original's attention-blocking script works in the question setting, our "ask".
_KEPT = {
    ("ask", "object+1", "last position", "mid-late"): 0.82,
    ("ask", "object+1", "last position", "all"): 0.67,
} | {("ask", "all but last row", "last row", window): 1.00 for window in _WINDOWS}


@dataclass(frozen=True)
class LensFigure:
    """What the paper says of one model's lens.

    Attributes:
        model: its name.
        share: object patches that decode to their class, each image at its best layer.
        best_layer: the mean of the images' best layers.
        layers: states looked at, the embedding output with them.
    """

    model: str
    share: float
    best_layer: float
    layers: int


LENS = (
    LensFigure("LLaVA-1.5-7B", 0.237, 25.7, 33),
    LensFigure("Qwen2-VL-2B", 0.065, 25.1, 29),
)


def decrease(value: str, selection: str, matched: str, size: int, task: str) -> float | None:
    """The paper's decrease for a row of the ablation table; None where it is unknown."""
    if value != "mean" or matched:
        return None
    return _DECREASE.get((selection, size, task))


def tokens(selection: str, matched: str, size: int) -> float | None:
    """The paper's mean number of ablated tokens (of 576); None where it is unknown."""
    return None if matched else _TOKENS.get((selection, size))


def kept(task: str, group: str, target: str, window: str) -> float | None:
    """The paper's accuracy under a knockout, clean being 1; None where it is unknown."""
    return _KEPT.get((task, group, target, window))
