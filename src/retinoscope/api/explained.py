"""Explained: which patches made a word of the answer, and what the model looked at to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.forced import places_of
from retinoscope.api.scores import Attributed, Scores
from retinoscope.api.words import Texts
from retinoscope.attribution import HeadAttention, mean_attention
from retinoscope.brief import brief_fields
from retinoscope.engine import Recording
from retinoscope.engine.edits.hooked import following
from retinoscope.errors import SelectionError
from retinoscope.interventions import Condition, Context, Edits, resolve, together
from retinoscope.tokens import visual

if TYPE_CHECKING:
    from retinoscope.api.view import View


@dataclass(frozen=True, eq=False)
class Explained:
    """Some tokens of the clean answer, and what they rest on; made by `View.explain`.

    Every token is looked at where it is predicted, behind the clean answer so far. Gradients of
    several tokens are those of the sum of their logits; attention and rollout of several are means.

    Attributes:
        view: the view whose answer it is.
        places: of the tokens in the answer, from 0, ascending.
        tokens: their ids.
    """

    view: View
    places: tuple[int, ...]
    tokens: tuple[int, ...]

    __repr__ = brief_fields

    @property
    def words(self) -> list[str]:
        """The tokens as text."""
        texts = Texts(self.view.recording)
        return [texts(token) for token in self.tokens]

    @cached_property
    def views(self) -> tuple[View, ...]:
        """For each token the view whose last position predicts it, for all else there is to ask."""
        return tuple(self.view.before(place) for place in self.places)

    def probability(self, *interventions: Any) -> Float[Tensor, " tokens"]:
        """How likely each token is with these interventions in force, 0 to 1, teacher-forced.

        Without any, as in the clean run; see `View.teacher_forced`.
        """
        forced = self.view.teacher_forced([tuple(interventions)])
        return forced.probability[0, list(self.places)]

    def gradient_x_input(self) -> Scores:
        """Gradient times input of the tokens' logits for each visual token, either sign."""
        each = zip(self.views, self.tokens, strict=True)
        found = [view.gradient_x_input(token).values for view, token in each]
        return self._scores(torch.stack(found).sum(0), "gradient x input")

    def integrated_gradients(self, **options: Any) -> tuple[Attributed, ...]:
        """Integrated gradients of each token's logit, with `View.integrated_gradients`' options."""
        each = zip(self.views, self.tokens, strict=True)
        return tuple(view.integrated_gradients(token, **options) for view, token in each)

    def rollout(self, *interventions: Any) -> Scores:
        """The share of the predicting positions that comes from each visual token, by attention.

        Under interventions as `attention`.
        """
        condition = behind(self.view.recording, together(interventions))
        found = [view.rollout(*condition).values for view in self.views]
        return self._scores(torch.stack(found).mean(0), "attention rollout")

    def attention(self, *interventions: Any) -> HeadAttention:
        """What the predicting positions look at in the prompt, by layer and head.

        Weights on the answer so far are left out. With interventions in force it is read behind the
        clean answer, as `probability` is; what is knocked out for the prompt's last position is so
        for those that follow.

        Raises:
            ModelError: the model does not show its attention.
            InterventionError: an intervention can't be applied.
        """
        condition = behind(self.view.recording, together(interventions))
        found = [view.attention_from(None, *condition) for view in self.views]
        return mean_attention(found, self.view.recording.length)

    def _scores(self, values: Float[Tensor, " tokens"], name: str) -> Scores:
        said = " ".join(word.strip() for word in self.words)
        return Scores(visual(self.view.recording.layout), values, f"{name} of {said!r}")


@dataclass(frozen=True, eq=False)
class _Behind:
    """Interventions of a prompt, in force behind it as well: an intervention of a longer one."""

    recording: Recording
    condition: Condition

    def edits(self, context: Context) -> Edits:
        """The prompt's edits; edges of its last position hold for those that follow."""
        length = self.recording.length
        edits = resolve(self.condition, self.recording)
        return following(edits, length, context.length - length)


def behind(recording: Recording, condition: Condition) -> Condition:
    """A condition of a prompt as it is in force behind it, where the answer is predicted."""
    return (_Behind(recording, condition),) if condition else ()


def explained(view: View, answer: tuple[int, ...], words: Sequence[str | int]) -> Explained:
    """Some tokens of an answer.

    Raises:
        SelectionError: the answer holds none, or not one that is asked for.
    """
    places = sorted({place for word in words for place in places_of(view.recording, answer, word)})
    if not places or places[-1] >= len(answer):
        raise SelectionError(
            f"Name words of the clean answer, or places of 0..{len(answer) - 1}; got {words!r}."
        )
    return Explained(view, tuple(places), tuple(answer[place] for place in places))
