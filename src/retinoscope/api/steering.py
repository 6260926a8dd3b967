"""Steering towards a word, or away from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retinoscope.api.outside import Exportable
from retinoscope.api.selecting import chosen_tokens
from retinoscope.api.words import token_of
from retinoscope.brief import brief
from retinoscope.errors import InterventionError
from retinoscope.interventions import Steer
from retinoscope.interventions.edits import checked_layers
from retinoscope.tokens import Chosen, last


@dataclass(frozen=True, eq=False)
class Steerable(Exportable):
    """What can be led to say a word."""

    def towards(
        self,
        word: str | int,
        tokens: Chosen = None,
        *,
        layer: int,
        strength: float = 1.0,
        against: str | int | None = None,
    ) -> Steer:
        """An intervention that leads some tokens towards a word: `view.answer(view.towards(...))`.

        It adds the word's row of the unembedding, the direction in which the logit lens reads it
        (nostalgebraist 2020), as activation additions do (Turner et al. 2023, arXiv 2308.10248).
        It says what late layers write; in early ones the model may have the word in another
        direction. The last position predicts the answer's first word: to change a later one, look
        with the beginning of the answer as `prefix`, or ask `view.before(word)` for the place that
        predicts it. A direction of your own, such as the difference of two means of captured
        states, goes into `rs.Steer`.

        Args:
            word: a word, of which the first token is taken, or a token's id.
            tokens: where: a TokenSet, positions or a mask; None is the last position.
            layer: the place: 0 is the input of the first decoder layer, n the output of the n-th.
            strength: how much is added, as a multiple of the mean norm of the clean states there;
                negative leads away from the word.
            against: a word or token's id whose row is taken away: towards "dog" and from "cat".

        Raises:
            SelectionError: a word can't be spelled, or tokens are not there.
            InterventionError: there is no such place, the strength is no finite number, or both
                words begin with one token.
        """
        recording = self.recording
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not number or not math.isfinite(strength):
            raise InterventionError(f"strength={brief(strength)}; give a finite number.")
        chosen = last(recording.layout) if tokens is None else chosen_tokens(recording, tokens)
        (place,) = checked_layers([layer], recording.layer_count + 1, "towards")
        norm = recording.residual(place)[sorted(chosen)].float().norm(dim=-1).mean()
        rows = recording.checkpoint.parts.head.get_parameter("weight").detach()
        direction = rows[token_of(recording, word)].float()
        if against is not None:
            direction = direction - rows[token_of(recording, against)].float()
            if not direction.any():
                raise InterventionError(f"{word!r} against {against!r}: both begin with one token.")
        return Steer(chosen, place, direction / direction.norm(), float(strength) * float(norm))
