"""Recording: everything of one clean run that conditions can share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.brief import brief_fields
from retinoscope.engine.recording.layer import RecordedLayer, SelfAttention, tensors
from retinoscope.engine.recording.sites import SiteTable, sites_of
from retinoscope.engine.recording.taps import AttentionTap, ModuleTap
from retinoscope.engine.recording.vocabulary import LogitTransform, TokenInput
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Site
from retinoscope.models import Checkpoint, Encoded
from retinoscope.tokens import TokenLayout


@dataclass(frozen=True)
class Unreplayable:
    """Something can't be replayed and is done by full forward passes of the model instead.

    Attributes:
        reason: why, as the end of a sentence.
    """

    reason: str


@dataclass(frozen=True, eq=False)
class Replay:
    """What it takes to run the decoder layers of one recording again on some of its positions.

    Attributes:
        layers: how each layer was called, over prompt and filler.
        additions: what the model adds between layers by place (DeepStack), prompt positions only.
        norm: the final norm.
        logit_transform: what the model does to the unembedding's output (logit scale, soft-cap).
        generation: from a generated token to the first layer's input; or why tokens are generated
            by repeated full forward passes although conditions are replayed.
    """

    layers: tuple[RecordedLayer, ...]
    additions: Mapping[int, Float[Tensor, "positions width"]]
    norm: nn.Module
    logit_transform: LogitTransform
    generation: TokenInput | Unreplayable

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Recording:
    """One clean forward pass of one prompt.

    The sequence may be recorded with filler behind the prompt: tokens whose position
    embeddings and masks are needed to generate there. Nothing of the prompt can see them.

    Attributes:
        checkpoint: the model.
        encoded: the prompt.
        stream: the residual stream at every place, 0 (input of the first layer) to the number of
            layers (output of the last), raw, before any final norm; prompt positions only. Where
            a model carries several streams (Gemma 3n) it is the first.
        logits: the clean logits at the last position.
        replay: what conditions are replayed with; or why they run as full forward passes of the
            whole model instead.
        max_new_tokens: filler positions recorded behind the prompt.
        text_types: by input name, what generated positions are, where it is not what the
            prompt's last position is.
    """

    checkpoint: Checkpoint
    encoded: Encoded
    stream: tuple[Float[Tensor, "positions width"], ...]
    logits: Float[Tensor, " vocabulary"]
    replay: Replay | Unreplayable
    max_new_tokens: int = 0
    text_types: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        how = "replayed" if isinstance(self.replay, Replay) else f"full passes: {self.fallback}"
        return (
            f"Recording({self.encoded.prompt[-60:]!r}, {self.layout}, {self.layer_count} layers of "
            f"{self.head_count} heads, {self.max_new_tokens} new tokens, {how})"
        )

    @property
    def length(self) -> int:
        """Positions of the prompt."""
        return self.encoded.layout.length

    @property
    def layout(self) -> TokenLayout:
        """Which positions are visual."""
        return self.encoded.layout

    @property
    def layer_count(self) -> int:
        """Number of decoder layers."""
        return len(self.stream) - 1

    @property
    def head_count(self) -> int:
        """Number of query heads in each layer."""
        return self.checkpoint.parts.head_count

    @property
    def mean_token(self) -> Float[Tensor, "*length width"] | None:
        """The checkpoint's mean visual token, if it is known.

        Where each visual token has its own, one for each position of the sequence: text tokens
        have the mean of all. Means of another number of visual tokens are given as they are, which
        `mean_at` refuses.
        """
        mean = self.checkpoint.mean
        if mean is None or mean.ndim == 1:
            return mean
        visual = list(self.encoded.layout.visual)
        if len(mean) != len(visual):
            return mean
        everywhere = mean.mean(0).expand(self.length, -1).clone()
        everywhere[visual] = mean
        return everywhere

    def residual(self, layer: int) -> Float[Tensor, "positions width"]:
        """The clean residual stream at a place, 0 to the number of layers."""
        return self.stream[layer]

    def tap(self, site: Site) -> ModuleTap | AttentionTap:
        """How a site of this model is reached.

        Raises:
            InterventionError: the model has no such site; the message says why.
        """
        layers = self.checkpoint.parts.layers
        if site.layer is not None and not site.layer < len(layers):
            raise InterventionError(
                f"{site} names a layer that {self.checkpoint.name} has not; give 0.."
                f"{len(layers) - 1}."
            )
        match site.name:  # The borders of layers need no search.
            case "resid_pre" | "embeddings":
                return ModuleTap(layers[site.layer or 0], "input")
            case "resid_post":
                return ModuleTap(layers[site.layer or 0], "output")
        return sites_of(self.checkpoint, self.encoded).tap(site)

    @property
    def sites(self) -> SiteTable:
        """Every site of this model, found on its first prompt."""
        return sites_of(self.checkpoint, self.encoded)

    def has(self, site: Site) -> bool:
        """Whether this model has a site."""
        try:
            self.tap(site)
        except InterventionError:
            return False
        return True

    def state_shape(self, site: Site) -> tuple[int, ...]:
        """What a site holds at one position; of `attn_scores` and `attn_probs` [heads, keys].

        Raises:
            InterventionError: the model has no such site; the message says why.
        """
        self.tap(site)
        if site.name in ("resid_pre", "resid_post", "embeddings"):
            return tuple(self.stream[0].shape[-1:])
        shape = sites_of(self.checkpoint, self.encoded).shapes[site]
        if site.name in ("attn_scores", "attn_probs") and len(shape) == 1:
            return (*shape, self.length)
        return shape

    @property
    def fallback(self) -> str | None:
        """Why conditions run as full forward passes; None where they are replayed."""
        return self.replay.reason if isinstance(self.replay, Unreplayable) else None

    @property
    def generation_fallback(self) -> str | None:
        """Why tokens are generated by full forward passes although conditions are replayed."""
        if isinstance(self.replay, Replay) and isinstance(self.replay.generation, Unreplayable):
            return self.replay.generation.reason
        return None

    @property
    def layers(self) -> tuple[RecordedLayer, ...]:
        """How each decoder layer was called.

        Raises:
            ModelError: the recording can't be replayed.
        """
        return self.require_replay("This").layers

    @property
    def additions(self) -> Mapping[int, Float[Tensor, "positions width"]]:
        """What the model adds between layers, by place.

        Raises:
            ModelError: the recording can't be replayed.
        """
        return self.require_replay("This").additions

    def require_replay(self, what: str) -> Replay:
        """The replay, for what can only be read off it.

        Raises:
            ModelError: the recording falls back on full forward passes.
        """
        if isinstance(self.replay, Unreplayable):
            raise ModelError(
                f"{what} needs a model whose layers can be replayed one by one, which "
                f"{self.checkpoint.name} can't: {self.replay.reason}."
            )
        return self.replay

    @cached_property
    def causal(self) -> bool:
        """No position of the prompt reads a later one, in any layer; so taken without a replay."""
        layers = self.replay.layers if isinstance(self.replay, Replay) else ()
        masks = {id(layer.allowed): layer.allowed for layer in layers if layer.reads_sequence}
        return not any(
            bool(mask[: self.length, : self.length].triu(1).any()) for mask in masks.values()
        )

    @cached_property
    def nbytes(self) -> int:
        """Memory that the recording holds, in bytes, shared tensors counted once."""
        held = [*self.stream, self.logits]
        if isinstance(self.replay, Replay):
            held += self.replay.additions.values()
            for layer in self.replay.layers:
                held += [layer.allowed, *tensors((layer.args, dict(layer.options)))]
                if isinstance(layer.mixing, SelfAttention):
                    held += [layer.mixing.keys, layer.mixing.values]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}
        return sum(storages.values())

    def unembed(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocabulary"]:
        """Final norm, unembedding and whatever the model does to its logits after it.

        Raises:
            ModelError: the model can't be replayed, so that its last step is not known.
        """
        if isinstance(self.replay, Unreplayable):
            raise ModelError(
                f"States of {self.checkpoint.name} can't be turned into logits one by one: "
                f"{self.replay.reason}. Only whole runs can be evaluated on this model."
            )
        norm = self.replay.norm
        device = next(norm.parameters(), hidden).device
        return self.replay.logit_transform(self.checkpoint.parts.head(norm(hidden.to(device))))
