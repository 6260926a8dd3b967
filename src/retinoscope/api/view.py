"""A view of one prompt: what to ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.api.explained import Explained, explained
from retinoscope.api.forced import Forced, place_of
from retinoscope.api.lens import Lens, as_state_lens
from retinoscope.api.seen import SeenImage, SeenVideo
from retinoscope.api.selecting import Tokens, chosen_tokens
from retinoscope.api.steering import Steerable
from retinoscope.api.words import (
    Predictions,
    Word,
    checked_count,
    checked_index,
    score_of,
    token_of,
)
from retinoscope.attribution import LogitAttribution, logit_attribution
from retinoscope.engine import (
    Activations,
    Score,
    SiteTable,
    capture,
    evaluate,
    extended,
    forced,
    generate,
    gradient,
)
from retinoscope.errors import SelectionError
from retinoscope.interventions import Condition, Intervention, Site, as_conditions, together
from retinoscope.lens import FittedLens, StateLens, read_changed
from retinoscope.models import Prompt
from retinoscope.tokens import Chosen, TokenSet, held, last

Conditions = Intervention | Condition | Sequence[Intervention | Sequence[Intervention]]
"""Several conditions, of which each may be an intervention alone; or one of them."""

WORDS = 10
"""Words of each token and layer that a lens keeps."""


@dataclass(frozen=True, eq=False)
class View(Steerable):
    """One prompt, run once; made by `VLM.look`.

    Attributes:
        recording: the clean run.
        prompt: what was shown and asked.
    """

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
        return self.answers([together(interventions)])[0]

    def answers(self, conditions: Conditions) -> list[str]:
        """The greedy answer under each condition, generated together.

        Args:
            conditions: a list, of which each is an intervention or a tuple of those that are in
                force together, () being the clean run; or a single one of them.
        """
        found = generate(self.recording, as_conditions(conditions))
        return [self.recording.checkpoint.text(one.tokens) for one in found]

    def teacher_forced(self, conditions: Conditions) -> Forced:
        """How likely each token of the clean answer is under each condition, given as to `answers`.

        Each is predicted behind the clean answer so far; `.frame()` has a row for each.

        Raises:
            InterventionError: an intervention can't be applied, or the view was looked at with
                max_new_tokens=0.
        """
        asked = as_conditions(conditions)
        (clean,) = generate(self.recording, [()])
        found = forced(self.recording, asked, clean.tokens)
        return Forced(self, tuple(asked), clean.tokens, found)

    def before(self, word: str | int) -> View:
        """The view whose last position predicts a word of the clean answer.

        All that is asked of it is about that word: `view.before("car").chefer()` is the relevance
        for "car", `.attention(3, 1)[-1]` the attention at its place, `.top(rs.Ablate(tokens))`
        what the ablation makes of it.

        Args:
            word: of the clean answer, where it stands first; or its place among the answer's
                tokens, from 0.

        Raises:
            SelectionError: the answer does not hold it.
            ModelError: the model writes its answer in a sequence of its own.
        """
        (clean,) = generate(self.recording, [()])
        place = place_of(self.recording, clean.tokens, word)
        so_far = clean.tokens[:place]
        text = self.recording.checkpoint.tokenizer.decode(list(so_far))
        return View(extended(self.recording, so_far, text), self.prompt)

    def explain(self, *words: str | int) -> Explained:
        """What words of the clean answer, named or by their places, rest on: patches, attention.

        Raises:
            SelectionError: the answer does not hold one.
        """
        (clean,) = generate(self.recording, [()])
        return explained(self, clean.tokens, words)

    def evaluate(self, conditions: Conditions) -> Predictions:
        """Next-token logits under each condition, given as to `answers`."""
        asked = as_conditions(conditions)
        return Predictions(evaluate(self.recording, asked).logits, self, tuple(asked))

    def top(
        self, *interventions: Intervention | Sequence[Intervention], k: int = WORDS
    ) -> list[Word]:
        """The k likeliest next words with these interventions in force, with probabilities."""
        return self.evaluate([together(interventions)]).top(k)[0]

    def lens(
        self,
        tokens: Chosen = None,
        *interventions: Intervention | Sequence[Intervention],
        k: int | None = None,
        track: str | int | Sequence[str | int] = (),
        by: FittedLens | StateLens | None = None,
    ) -> Lens:
        """The logit lens, or another one, over some tokens, k words each.

        Args:
            tokens: which: a TokenSet, positions or a mask; None is all visual ones.
            interventions: in force together; without any, the clean run is read.
            k: words of each token and layer; None is 10, or the whole vocabulary if it has fewer.
            track: words to follow exactly by their first token, or tokens' ids, wherever they rank.
            by: another lens than the logit lens, such as `retinoscope.lens.read_fitted(path)`.

        Raises:
            SelectionError: no token is given, k is out of range, or a word can't be spelled.
            ModelError: the lens was fitted on another model.
            InterventionError: an intervention can't be applied here.
        """
        vocabulary = self.recording.logits.shape[-1]
        k = min(WORDS, vocabulary) if k is None else checked_count(k, vocabulary)
        words: Any = track if isinstance(track, list | tuple) else [track]
        condition = together(interventions)
        tracked = [token_of(self.recording, word) for word in words]
        lens = as_state_lens(self.recording, by)
        asked = (self.recording, condition, chosen_tokens(self.recording, tokens))
        reading = read_changed(*asked, k=k, tracked=tracked, lens=lens)
        return Lens(reading, self, condition, lens)

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
        condition = together(interventions)
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
        number = checked_index(layer, self.recording.layer_count, "layer")
        (found,) = self.capture("attn_probs", *interventions, layers=number).values()
        pattern = found.transpose(0, 1)
        return pattern if head is None else pattern[checked_index(head, len(pattern), "head")]

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
        score = score_of(self.recording, of)
        condition = together(interventions)
        return gradient(self.recording, score, sites, condition, layers=layers, positions=positions)

    def logit_attribution(
        self,
        word: str | int,
        tokens: Chosen = None,
        *interventions: Intervention | Sequence[Intervention],
        layer: int | None = None,
        against: str | int | None = None,
    ) -> LogitAttribution:
        """Direct logit attribution, exact: `retinoscope.attribution.logit_attribution` tells all.

        Read at `tokens` (None: the last position) and place `layer`, less another word, `against`.
        """
        chosen = sorted(self.last if tokens is None else chosen_tokens(self.recording, tokens))
        other = None if against is None else token_of(self.recording, against)
        asked = (self.recording, token_of(self.recording, word), chosen, together(interventions))
        return logit_attribution(*asked, layer=layer, against=other)
