"""Yes or no: how far a model leans to "yes", under each condition."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.view import Conditions, View
from retinoscope.api.words import described
from retinoscope.brief import brief
from retinoscope.engine import evaluate
from retinoscope.errors import SelectionError
from retinoscope.interventions import Condition, as_conditions
from retinoscope.tasks import piece_tokens


@dataclass(frozen=True, eq=False)
class Leaning:
    """How far the answer's first token leans to "yes" under each condition.

    Attributes:
        conditions: in the order of the values.
        log_odds: log p(yes) - log p(no) in nats, each summed over its spellings; above 0 is yes.
        probability: of "yes" among all next tokens, 0 to 1.
    """

    conditions: tuple[Condition, ...]
    log_odds: Float[Tensor, " conditions"]
    probability: Float[Tensor, " conditions"]

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:+.2f}" for value in self.log_odds[:4].tolist())
        more = f", ... {len(self.conditions) - 4} more" if len(self.conditions) > 4 else ""
        return f"Leaning(log-odds of yes in nats: {shown}{more})"

    @property
    def change(self) -> Float[Tensor, " conditions"]:
        """Each condition's log-odds less the first one's."""
        return self.log_odds - self.log_odds[0]

    def frame(self) -> pl.DataFrame:
        """A row for each condition: condition, interventions, log_odds, change, probability."""
        return pl.DataFrame(
            {
                "condition": range(len(self.conditions)),
                "interventions": [described(condition) for condition in self.conditions],
                "log_odds": self.log_odds.tolist(),
                "change": self.change.tolist(),
                "probability": self.probability.tolist(),
            }
        )


def yes(view: View, conditions: Conditions = ()) -> Leaning:
    """How far the answer to a yes/no question leans to "yes".

        rs.yes(view, [(), rs.Ablate(tokens)]).change[1]

    Args:
        view: of a question that is answered by yes or no.
        conditions: as in `View.answers`; () is the clean run.

    Raises:
        SelectionError: it is no view, or the tokenizer has no token for "yes" or "no".
        InterventionError: an intervention can't be applied.
    """
    if not isinstance(view, View):
        raise SelectionError(f"A view is what vlm.look(...) gives; got {brief(view)}.")
    tokenizer = view.recording.checkpoint.tokenizer
    spellings = {word: list(piece_tokens(tokenizer, [word])) for word in ("yes", "no")}
    for word, ids in spellings.items():
        if not ids:
            raise SelectionError(
                f"The model's tokenizer has no token for {word!r}, so its leaning can't be read; "
                "take view.evaluate(...) and words of its vocabulary."
            )
    asked = as_conditions(conditions)
    scores = evaluate(view.recording, asked).logits.log_softmax(-1)
    leaning = {word: scores[:, ids].logsumexp(-1) for word, ids in spellings.items()}
    return Leaning(tuple(asked), leaning["yes"] - leaning["no"], leaning["yes"].exp())
