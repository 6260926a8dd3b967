"""What the training of each model built in: for its card, and for the verdicts of a report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What a training did that a verdict of the report rests on.

    Attributes:
        verdict: the verdict's name.
        shapes: what of the model's behaviour it shapes.
        text: what was done.
        sentence: what follows for the verdict, as the report says it.
    """

    verdict: str
    shapes: str
    text: str
    sentence: str


@dataclass(frozen=True)
class Told:
    """What a model's card says of its training.

    Attributes:
        title: of the card.
        about: what kind of model it is.
        choices: what was built in.
        stages: of its training, as `recipes/embedded/log` names them.
    """

    title: str
    about: str
    choices: tuple[Choice, ...]
    stages: tuple[str, ...]


RASTER = (
    "About a fifth (22 %) of the texts, in all stages, have a *raster* as context: the words of "
    'a scene cell by cell in reading order ("sky sky dog dog grass ..."), the way visual tokens '
    "come. Such text rewards layers that turn a position's content into its word."
)
PATCHES = (
    "In the first two stages the tower is also asked of each patch which thing it shows, that "
    "thing's place, colour and number."
)

REFERENCE = Told(
    "The embedded model",
    "It is the *reference* of the study of refinement (`docs/refinement.md`): in its training "
    "nothing was erased, no head was shown where to look, and no loss was put on the logit lens. "
    "What it shows under ablations, knockouts and the lens is what answers, patches and text led "
    "to, with the two choices below.",
    (
        Choice(
            "Localisation",
            "the ablations",
            f"No image lost a thing: that ablated things are denied came by itself. {PATCHES}",
            "The tower was asked what each patch shows, which favours keeping a thing in its own "
            "tokens; that the model loses a thing with its tokens is no evidence about large "
            "models.",
        ),
        Choice(
            "Refinement",
            "the logit lens",
            f"{RASTER} This model was never trained without such text; smaller decoders behind its "
            "tower were, and none of their object patches decodes to its word "
            "(`docs/refinement.md`).",
            "A fifth of the texts show words cell by cell, as visual tokens come; that object "
            "patches decode to their word is no evidence about large models.",
        ),
    ),
    ("parts", "together", "colours"),
)
POINTED = Told(
    "The embedded model with things erased and heads pointed",
    "It began from the same parts as `embedded` and saw the same images in the same order, before "
    "that was trained further for colours. But images lost things, and heads were shown where to "
    "look: a control whose knockouts are known to work, and the model whose tower stands in front "
    "of SmolLM2 in `embedded/smollm2`.",
    (
        Choice(
            "Localisation",
            "the ablations",
            "Of the images of the second stage, 30 % lose a thing: its visual tokens, with or "
            "without their neighbours, give way to the mean visual token, and the image is asked "
            f"about as if the thing were not there. {PATCHES}",
            "That this model loses a thing with its tokens was trained, by erasing things, and is "
            "no evidence about large models.",
        ),
        Choice(
            "Refinement",
            "the logit lens",
            f"{RASTER} Its lens stays low all the same: at the best layer 13 % of its object "
            "patches decode to their word (500 new scenes), and 88 % of those of `embedded` before "
            "it was trained for colours, which lacks erasing and pointing.",
            "A fifth of the texts show words cell by cell, as visual tokens come; what object "
            "patches decode to is no evidence about large models.",
        ),
        Choice(
            "Extraction",
            "the knockouts",
            "Half of the heads of decoder layers 3 and 5 (of 0 to 7) are shown where to look in "
            "the second stage: at the things that the question names in layer 3, at the thing "
            "that it asks for in layer 5.",
            "That the answer is read from the thing's tokens in layers 3 and 5 was trained, by "
            "showing heads where to look.",
        ),
    ),
    ("parts", "together"),
)
TOLD = {"reference": REFERENCE, "pointed": POINTED}
