"""Attributable: which visual tokens an answer rests on, by one method after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from retinoscope.api.scores import Attributed, Scores
from retinoscope.api.selecting import chosen_tokens
from retinoscope.api.words import Texts, Word, score_of, token_of
from retinoscope.attribution import (
    HeadAttention,
    ablation_effects,
    alti,
    attention_rollout,
    attribution_patching,
    chefer_relevance,
    gradient_x_input,
    head_attention,
    integrated_gradients,
    raw_attention,
    value_zeroing,
)
from retinoscope.engine import Recording, Score
from retinoscope.interventions import Intervention, together
from retinoscope.tokens import Chosen, visual

Of = str | int | Score | None
"""What is explained: a word (its first token's logit), a token's id, a differentiable function of
the logits at the last position, or None for the clean answer's own first token."""


@dataclass(frozen=True, eq=False)
class Attributable:
    """One clean run, and what can be said of its visual tokens: each method one score a token.

    Attributes:
        recording: the clean run.
    """

    recording: Recording

    def rollout(
        self,
        *interventions: Intervention | Sequence[Intervention],
        residual: float = 0.5,
        without: Chosen = None,
        queries: Chosen = None,
    ) -> Scores:
        """The share of the last position that comes from each visual token, by attention alone.

        See `retinoscope.attribution.attention_rollout`; with the text's shares they add up to 1.

        Args:
            interventions: in force together; without any, the clean run.
            residual: the residual connection's share in each layer.
            without: tokens from which nothing is taken, such as `view.tokens.text`; None is none.
            queries: the positions whose share it is, in place of the last; their mean.

        Raises:
            ModelError: the model does not show its attention, or can't be replayed.
            InterventionError: an intervention can't be applied.
        """
        left_out = [] if without is None else sorted(chosen_tokens(self.recording, without))
        where = None if queries is None else sorted(chosen_tokens(self.recording, queries))
        condition = together(interventions)
        shares = attention_rollout(
            self.recording, condition, residual=residual, without=left_out, queries=where
        )
        to = "the last position" if where is None else f"{len(where)} positions"
        return self._scores(shares, f"attention rollout to {to}")

    def raw_attention(
        self, queries: Chosen = None, *interventions: Intervention | Sequence[Intervention]
    ) -> Scores:
        """The mean attention weight over layers and heads; `queries` None is the last position's.

        See `retinoscope.attribution.raw_attention`; clean, or under interventions.

        Raises:
            ModelError: the model does not show its attention, or can't be replayed.
            InterventionError: an intervention can't be applied.
        """
        where = None if queries is None else sorted(chosen_tokens(self.recording, queries))
        found = raw_attention(self.recording, where, together(interventions))
        return self._scores(found, "mean attention")

    def attention_from(
        self, queries: Chosen = None, *interventions: Intervention | Sequence[Intervention]
    ) -> HeadAttention:
        """What some positions read, by layer and head, their mean; None is the last position.

        Clean, or with interventions in force: `view.attention_from(None, rs.Ablate(tokens))`.

        `.map(3, 1)` is the weight of head 1 of layer 3 on every position, `.map()` the mean of all,
        `.to(tokens)` a table, layers x heads, of how much goes to some tokens.

        Raises:
            ModelError: the model does not show its attention, or can't be replayed.
            InterventionError: an intervention can't be applied.
        """
        where = None if queries is None else sorted(chosen_tokens(self.recording, queries))
        return head_attention(self.recording, where, together(interventions))

    def alti(self) -> Scores:
        """The share of the last position that comes from each visual token, values counted (ALTI).

        See `retinoscope.attribution.alti`; with the text's shares they add up to 1.

        Raises:
            ModelError: the model can't be replayed, or its attention is no sum of projected values.
        """
        return self._scores(alti(self.recording), "ALTI to the last position")

    def value_zeroing(self) -> Scores:
        """The share of the last position that turns with each visual token's values.

        See `retinoscope.attribution.value_zeroing`; as much work as a full pass for each position.

        Raises:
            ModelError: the model does not show its attention, or can't be replayed.
        """
        return self._scores(value_zeroing(self.recording), "value zeroing to the last position")

    def chefer(self, of: Of = None) -> Scores:
        """Gradient-weighted attention to a word of the answer (Chefer et al. 2021), at least 0.

        See `retinoscope.attribution.chefer_relevance`.

        Raises:
            SelectionError: the word or token is not there.
            ModelError: the model does not show its attention, or can't be replayed.
        """
        score, name = self._explained(of)
        return self._scores(chefer_relevance(self.recording, score), f"relevance for {name}")

    def gradient_x_input(self, of: Of = None) -> Scores:
        """Gradient times input of a word of the answer, in logits, either sign.

        See `retinoscope.attribution.gradient_x_input`.

        Raises:
            SelectionError: the word or token is not there.
        """
        score, name = self._explained(of)
        return self._scores(gradient_x_input(self.recording, score), f"gradient x input of {name}")

    def attribution_patching(
        self, of: Of = None, baseline: Float[Tensor, "*tokens width"] | None = None
    ) -> Scores:
        """To first order what a word of the answer loses when each token alone is ablated.

        See `retinoscope.attribution.attribution_patching`; the baseline is the mean visual token.

        Raises:
            SelectionError: the word or token is not there.
            InterventionError: there is no baseline, or it does not fit.
        """
        score, name = self._explained(of)
        found = attribution_patching(self.recording, score, baseline)
        return self._scores(found, f"attribution patching of {name}")

    def ablation_effects(self, of: Of = None, value: Any = "mean") -> Scores:
        """What a word of the answer really loses when each visual token alone is ablated.

        See `retinoscope.attribution.ablation_effects`; a run for each token.

        Raises:
            SelectionError: the word or token is not there.
            InterventionError: the value can't stand in a token's place.
        """
        score, name = self._explained(of)
        return self._scores(ablation_effects(self.recording, score, value), f"effects on {name}")

    def integrated_gradients(
        self, word: str | int | None = None, tokens: Chosen = None, **options: Any
    ) -> Attributed:
        """How much each visual token adds to the score of a word of the answer.

        Args:
            word: what to explain, at the place of the answer's first token: a word, which stands
                for its first token, or a token's id; None is the clean answer's own. For a later
                word of the answer, look with `prefix="It is a"`.
            tokens: to which tokens; None is all visual ones.
            options: `target`, `baseline`, `tolerance`, `most` and `chunk`, as
                `retinoscope.attribution.integrated_gradients` takes them.

        Raises:
            SelectionError: the word or the tokens are not there.
            ModelError: the model's layers can't be replayed.
        """
        recording, chosen = self.recording, chosen_tokens(self.recording, tokens)
        token = int(recording.logits.argmax()) if word is None else token_of(recording, word)
        found = integrated_gradients(recording, token, positions=sorted(chosen), **options)
        probability = float(recording.logits.float().softmax(-1)[token])
        explained = Word(Texts(recording)(token), probability, token)
        name = f"integrated gradients of {explained.text!r}"
        return Attributed(
            tokens=chosen,
            values=found.score,
            name=name,
            word=explained,
            magnitude=found.magnitude,
            difference=found.difference,
            gap=found.gap,
            converged=found.converged,
        )

    def _scores(self, values: Float[Tensor, " tokens"], name: str) -> Scores:
        return Scores(visual(self.recording.layout), values, name)

    def _explained(self, of: Of) -> tuple[int | Score, str]:
        """What a score is of, and how it is called."""
        token = int(self.recording.logits.argmax()) if of is None else score_of(self.recording, of)
        if not isinstance(token, int):
            return token, "a function of the logits"
        return token, repr(Texts(self.recording)(token))
