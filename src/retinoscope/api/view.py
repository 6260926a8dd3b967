"""A view of one prompt: what to ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.api.lens import Lens
from retinoscope.api.scores import Attributed, Scores
from retinoscope.api.seen import SeenImage, SeenVideo
from retinoscope.api.selecting import Tokens
from retinoscope.api.words import Predictions, Word, checked_count
from retinoscope.attribution import attention_rollout, integrated_gradients
from retinoscope.engine import (
    Activations,
    Recording,
    Score,
    SiteTable,
    capture,
    evaluate,
    generate,
    gradient,
)
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Condition, Intervention, Site, as_condition, as_conditions
from retinoscope.lens import read_changed
from retinoscope.models import Prompt
from retinoscope.tasks import first_tokens
from retinoscope.tokens import Chosen, TokenSet, as_positions, at, held, last

Conditions = Intervention | Condition | Sequence[Intervention | Sequence[Intervention]]
"""Several conditions, of which each may be an intervention alone; or one of them."""

WORDS = 10
"""Words of each token and layer that a lens keeps."""


@dataclass(frozen=True, eq=False)
class View:
    """One prompt, run once; made by `VLM.look`.

    Attributes:
        recording: the clean run.
        prompt: what was shown and asked.
    """

    recording: Recording
    prompt: Prompt

    def __repr__(self) -> str:
        return f"View({self.prompt}, {self.recording})"

    @property
    def image(self) -> Image.Image:
        """The only picture.

        Raises:
            SelectionError: the view has none, or several.
        """
        if len(self.prompt.images) == 1 and not self.prompt.videos:
            return self.prompt.images[0]
        shown = held(self.recording.layout.spans)
        raise SelectionError(
            f"This view shows {shown}: say which, such as view.images[1].picture or "
            "view.videos[0].frames[2].picture."
            if self.prompt.images or self.prompt.videos
            else "This view shows no image."
        )

    @property
    def images(self) -> tuple[SeenImage, ...]:
        """The images in their order, each with its tokens: `view.images[1].tokens.under(mask)`."""
        return tuple(SeenImage(self.recording, i, p) for i, p in enumerate(self.prompt.images))

    @property
    def videos(self) -> tuple[SeenVideo, ...]:
        """The videos in their order: `view.videos[0].frames[2].tokens.under(mask)`."""
        return tuple(SeenVideo(self.recording, i, v) for i, v in enumerate(self.prompt.videos))

    @property
    def tokens(self) -> Tokens:
        """Token sets: `view.tokens.under(mask)`, `view.tokens.word("dog")`, all visual ones, ..."""
        return Tokens(self.recording, self.recording.layout.spans)

    @property
    def last(self) -> TokenSet:
        """The last position, which predicts the answer's first token."""
        return last(self.recording.encoded.layout)

    def answer(self, *interventions: Intervention | Sequence[Intervention]) -> str:
        """The greedy answer with these interventions in force; without any, the clean one."""
        return self.answers([_together(interventions)])[0]

    def answers(self, conditions: Conditions) -> list[str]:
        """The greedy answer under each condition, generated together.

        Args:
            conditions: a list, of which each is an intervention or a tuple of those that are in
                force together, () being the clean run; or a single one of them.
        """
        found = generate(self.recording, as_conditions(conditions))
        return [self.recording.checkpoint.text(one.tokens) for one in found]

    def evaluate(self, conditions: Conditions) -> Predictions:
        """Next-token logits under each condition, given as to `answers`."""
        asked = as_conditions(conditions)
        return Predictions(evaluate(self.recording, asked).logits, self, tuple(asked))

    def top(
        self, *interventions: Intervention | Sequence[Intervention], k: int = WORDS
    ) -> list[Word]:
        """The k likeliest next words with these interventions in force, with probabilities."""
        return self.evaluate([_together(interventions)]).top(k)[0]

    def lens(
        self,
        tokens: Chosen = None,
        *interventions: Intervention | Sequence[Intervention],
        k: int | None = None,
        track: str | int | Sequence[str | int] = (),
    ) -> Lens:
        """The logit lens over some tokens, k words each.

        Args:
            tokens: which: a TokenSet, positions or a mask; None is all visual ones.
            interventions: in force together; without any, the clean run is read.
            k: words of each token and layer; None is 10, or the whole vocabulary if it has fewer.
            track: words to follow exactly by their first token, or tokens' ids, wherever they rank.

        Raises:
            SelectionError: no token is given, k is out of range, or a word can't be spelled.
            InterventionError: an intervention can't be applied here.
        """
        vocabulary = self.recording.logits.shape[-1]
        k = min(WORDS, vocabulary) if k is None else checked_count(k, vocabulary)
        given: Any = track
        words = given if isinstance(given, list | tuple) else [given]
        condition, tracked = _together(interventions), [self._token(word) for word in words]
        reading = read_changed(
            self.recording, condition, self._chosen(tokens), k=k, tracked=tracked
        )
        return Lens(reading, self, condition)

    @property
    def sites(self) -> SiteTable:
        """Which activations this model has, and why it has no others."""
        return self.recording.sites

    def capture(
        self,
        sites: str | Site | Sequence[str | Site],
        *interventions: Intervention | Sequence[Intervention],
        layers: int | Iterable[int] | None = None,
        positions: Chosen = None,
    ) -> Activations:
        """The activation cache: states of any sites, clean or under interventions.

        `view.capture("attn_out", layers=[3, 4])["attn_out.3"]` is [positions, width]. States are
        computed when they are asked for; `.nbytes` says what all take together, `.load()` takes
        all in one pass, `.stack("attn_out")` one name in all its layers.

        Args:
            sites: addresses such as "attn_out.3", or names such as "attn_out" for all of `layers`;
                `view.sites` lists them.
            interventions: in force together; without any, the clean run.
            layers: of names given without one; None is every layer that has the site.
            positions: where: a TokenSet, positions or a mask; None is every position.

        Raises:
            InterventionError: an address isn't understood, or the model has no such site.
        """
        condition = _together(interventions)
        return capture(self.recording, sites, condition, layers=layers, positions=positions)

    def attention(
        self,
        layer: int,
        head: int | None = None,
        *interventions: Intervention | Sequence[Intervention],
    ) -> Float[Tensor, "*heads queries keys"]:
        """The attention pattern of a layer: of one head [queries, keys], or of all, heads first.

        Raises:
            InterventionError: there is no such layer or head, or the layer does not attend.
        """
        (found,) = self.capture("attn_probs", *interventions, layers=layer).values()
        pattern = found.transpose(0, 1)
        if head is not None and not 0 <= head < len(pattern):
            raise InterventionError(f"There is no head {head}; give one of 0..{len(pattern) - 1}.")
        return pattern if head is None else pattern[head]

    def gradient(
        self,
        of: str | int | Score,
        sites: str | Site | Sequence[str | Site],
        *interventions: Intervention | Sequence[Intervention],
        layers: int | Iterable[int] | None = None,
        positions: Chosen = None,
    ) -> dict[Site, Tensor]:
        """The gradient of a score at any sites, each [positions, ...] like the state there.

        Args:
            of: a word or a token's id, for its logit at the last position, or a differentiable
                function of the logits there, [vocabulary].
            sites: as in `capture`.
            interventions: as in `capture`.
            layers: as in `capture`.
            positions: as in `capture`.

        Raises:
            SelectionError: the word or token is not there.
            InterventionError: as in `capture`, or the function gives no single number.
        """
        score = self._token(of) if isinstance(of, str | int) else of
        condition = _together(interventions)
        return gradient(self.recording, score, sites, condition, layers=layers, positions=positions)

    def rollout(self) -> Scores:
        """The share of the last position that comes from each visual token, by attention alone.

        See `retinoscope.attribution.attention_rollout`; with the text's shares they add up to 1.

        Raises:
            ModelError: the model does not show its attention, or can't be replayed.
        """
        shares = attention_rollout(self.recording)
        return Scores(self.tokens.visual, shares, "attention rollout to the last position")

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
        recording, chosen = self.recording, self._chosen(tokens)
        token = int(recording.logits.argmax()) if word is None else self._token(word)
        found = integrated_gradients(recording, token, positions=sorted(chosen), **options)
        probability = float(recording.logits.float().softmax(-1)[token])
        explained = Word(recording.checkpoint.tokenizer.decode([token]), probability, token)
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

    def _chosen(self, tokens: Chosen) -> TokenSet:
        if tokens is None:
            return self.tokens.visual
        layout = self.recording.layout
        return at(layout, as_positions(layout, tokens))

    def _token(self, word: str | int) -> int:
        """A token's id; of a word, that of its first token, as the answer would begin with it."""
        logits, tokenizer = self.recording.logits, self.recording.checkpoint.tokenizer
        if isinstance(word, int) and 0 <= word < len(logits):
            return word
        spelled = {*first_tokens(tokenizer, [word])} if isinstance(word, str) else set()
        if spelled:
            # At the beginning of an answer some tokenizers write a word without its space.
            bare = tokenizer.encode(word, add_special_tokens=False)[:1]
            spelled |= {
                i for i in bare if i != tokenizer.unk_token_id and tokenizer.decode([i]).strip()
            }
            return max(spelled, key=lambda token: float(logits[token]))
        raise SelectionError(
            f"{word!r} is no word that the model's tokenizer can spell; give another, or a token's "
            f"id of 0..{len(logits) - 1}."
        )


def _together(interventions: Sequence[Any]) -> Condition:
    """The interventions of one condition, which may also be given as one sequence."""
    if len(interventions) == 1 and isinstance(interventions[0], list | tuple):
        return as_condition(interventions[0])
    return as_condition(interventions)
