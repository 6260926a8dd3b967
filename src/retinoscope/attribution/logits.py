"""Direct logit attribution: a word's logit as the sum of what every sublayer and head wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.additions import Additions, LayerParts, additions
from retinoscope.attribution.frozen_norm import frozen_norm
from retinoscope.attribution.output_projection import pulled_back
from retinoscope.brief import brief, brief_fields
from retinoscope.engine import Recording
from retinoscope.engine.recording.taps import ModuleTap
from retinoscope.errors import ModelError, SelectionError
from retinoscope.interventions import Condition, Site

EXACT, COARSE = 1e-4, 5e-2
"""How far shares may miss their sum, as a part of the largest: in float32, and in less."""


@dataclass(frozen=True, eq=False)
class LogitAttribution:
    """A word's logit at some positions, shared out over the parts of the model that wrote it.

    All tensors are float64 on the CPU, in logits. `embedding`, `attention`, `mlp`, `between` and
    `bias` add up to `logit`; the heads of a layer and its `headless_bias` to its attention.

    Attributes:
        token: the word's token.
        positions: where it is read.
        layer: the place of the residual stream at which it is read: n is the output of the n-th
            layer; layers above have no part in it.
        embedding: the input of the first layer; of visual tokens what the vision tower and the
            connector wrote.
        attention: of each layer below the place what its attention added.
        mlp: likewise of its MLP.
        between: likewise of the model itself behind each layer (DeepStack); mostly zero.
        bias: of the final norm and of the unembedding.
        heads: of each layer whose heads are to be had what each of them added.
        headless_bias: of the same layers what belongs to no head: biases behind the heads.
        headless: of the other layers why their attention can't be shared out over heads.
        logit: the word's logit less the mean over the vocabulary (or less another token's), before
            any scale or soft-cap that the model puts behind its unembedding.
    """

    token: int
    positions: tuple[int, ...]
    layer: int
    embedding: Float[Tensor, " positions"]
    attention: Float[Tensor, "layers positions"]
    mlp: Float[Tensor, "layers positions"]
    between: Float[Tensor, "layers positions"]
    bias: Float[Tensor, " positions"]
    heads: Mapping[int, Float[Tensor, "heads positions"]]
    headless_bias: Mapping[int, Float[Tensor, " positions"]]
    headless: Mapping[int, str]
    logit: Float[Tensor, " positions"]

    __repr__ = brief_fields

    @property
    def gap(self) -> float:
        """How far the shares' sum lies from the logit, at most, in logits."""
        parts = self.embedding + self.bias + (self.attention + self.mlp + self.between).sum(0)
        return float((parts - self.logit).abs().max())

    def frame(self) -> pl.DataFrame:
        """A row for each share: position, part, layer, head and logit; `.to_pandas()` for pandas.

        Parts are "embedding", "attention", "mlp", "between", "head", "headless bias" and "bias";
        layer and head are null where a part has none. Heads are shares of their attention.
        """
        named: list[tuple[str, int | None, int | None, Tensor]] = [
            ("embedding", None, None, self.embedding),
            ("bias", None, None, self.bias),
        ]
        for part in ("attention", "mlp", "between"):
            named += [(part, at, None, row) for at, row in enumerate(getattr(self, part))]
        for at, heads in self.heads.items():
            named += [("head", at, head, row) for head, row in enumerate(heads)]
            named.append(("headless bias", at, None, self.headless_bias[at]))
        rows = [
            (position, part, at, head, share)
            for part, at, head, row in named
            for position, share in zip(self.positions, row.tolist(), strict=True)
        ]
        columns = ["position", "part", "layer", "head", "logit"]
        return pl.DataFrame(rows, columns, orient="row", infer_schema_length=None)


def logit_attribution(
    recording: Recording,
    token: int,
    positions: Sequence[int],
    condition: Condition = (),
    *,
    layer: int | None = None,
    against: int | None = None,
) -> LogitAttribution:
    """Share a word's logit out over embedding, attentions, MLPs and heads, exactly.

    The residual stream is a sum, and with its scale frozen the final norm is linear, so that each
    part has a share of its own (Elhage et al. 2021; `ActivationCache.logit_attrs` of
    TransformerLens). Norms behind a sublayer (Gemma 2 and 3) are frozen likewise. One forward pass.
    A share says what a part wrote towards the word, not what the word would be without the part:
    what it writes is read by later layers. Only an intervention tells that.

    Args:
        recording: the clean run.
        token: the word's token id.
        positions: where to read it, such as the patches of an object.
        condition: the interventions in force together; () is the clean run.
        layer: the place at which to read, 0 to the number of layers; None is the last.
        against: another token, whose logit is taken away; None takes the mean of the vocabulary.

    Raises:
        SelectionError: a token, position or place is not there.
        ModelError: the final norm is not known, or is neither an RMS nor a layer norm; or a layer
            adds something else to the stream than its attention and its MLP, or scales the stream.
        InterventionError: a layer's attention or MLP can't be told apart, or an intervention can't
            be applied.
    """
    place = recording.layer_count if layer is None else layer
    where = _checked(recording, token, positions, place, against)
    final = recording.require_replay("Logit attribution").norm
    parts = additions(recording, condition, where, place)
    direction, constant = _direction(recording, token, against)
    norm = frozen_norm(final, parts.whole)
    before = norm.pulled(direction[None])
    heads = [_heads(recording, index, one, before) for index, one in enumerate(parts.layers)]
    shared = {index: one for index, one in enumerate(heads) if isinstance(one, tuple)}
    found = LogitAttribution(
        token=token,
        positions=where,
        layer=place,
        embedding=_along(parts.embedding, before),
        attention=_each([one.attention for one in parts.layers], before),
        mlp=_each([one.mlp for one in parts.layers], before),
        between=_each([one.between for one in parts.layers], before),
        bias=(norm.offset @ direction + constant).expand(len(where)).clone(),
        heads={index: shares for index, (shares, _) in shared.items()},
        headless_bias={index: bias for index, (_, bias) in shared.items()},
        headless={index: one for index, one in enumerate(heads) if isinstance(one, str)},
        logit=_logit(recording, parts, token, against),
    )
    close = _close(recording, found.attention, found.mlp, found.embedding, found.logit)
    if found.gap > close:
        raise ModelError(
            f"The shares of the logit miss it by {found.gap:.2g}, where {close:.2g} is rounding; "
            f"{recording.checkpoint.name} does something to the stream that is not known here."
        )
    return found


def _direction(
    recording: Recording, token: int, against: int | None
) -> tuple[Float[Tensor, " width"], float]:
    """What the normed state is multiplied by to give the logit's difference, and its constant."""
    head = recording.checkpoint.parts.head
    width = recording.stream[0].shape[-1]
    parameter = next(head.parameters())
    kind = parameter.dtype if parameter.is_floating_point() else recording.stream[0].dtype
    with torch.enable_grad():
        origin = torch.zeros(1, width, dtype=kind, device=parameter.device, requires_grad=True)
        logits = _above(head(origin)[0], token, against)
        (found,) = torch.autograd.grad(logits, origin)
    return found[0].double().cpu(), float(logits.detach())


def _above(logits: Float[Tensor, "*rows vocabulary"], token: int, against: int | None) -> Tensor:
    """A token's logit less the mean of all, or less another's."""
    other = logits.mean(-1) if against is None else logits[..., against]
    return logits[..., token] - other


@torch.no_grad()
def _logit(recording: Recording, parts: Additions, token: int, against: int | None) -> Tensor:
    """The logit itself, from the model's own norm and unembedding."""
    norm = recording.require_replay("Logit attribution").norm
    device = next(norm.parameters(), parts.whole).device
    logits = recording.checkpoint.parts.head(norm(parts.whole.to(device)))
    return _above(logits.double(), token, against).cpu()


def _heads(
    recording: Recording, layer: int, parts: LayerParts, before: Float[Tensor, "positions width"]
) -> tuple[Float[Tensor, "heads positions"], Float[Tensor, " positions"]] | str:
    """Each head's share and what belongs to none; or why they can't be told apart."""
    if parts.z is None or parts.projection is None:
        return "its heads' outputs, or the matrix behind them, were not found"
    module, given = parts.projection.module, parts.projection.given.double().cpu()
    if not torch.equal(given, parts.z.flatten(1)):
        return "what enters its output projection is not its heads' outputs side by side"
    pulled = _behind_module(recording, layer, parts, before)
    if isinstance(pulled, str):
        return pulled
    direction, offset = pulled
    inner, bias = pulled_back(module, direction, given.shape[-1])
    shares = (given * inner).unflatten(-1, parts.z.shape[1:]).sum(-1).T
    whole = _along(parts.attention, before)
    if float((shares.sum(0) + bias + offset - whole).abs().max()) > _close(
        recording, shares, whole
    ):
        return "what stands behind its heads is not affine"
    return shares, bias + offset


def _behind_module(
    recording: Recording, layer: int, parts: LayerParts, before: Float[Tensor, "positions width"]
) -> tuple[Float[Tensor, "positions width"], Float[Tensor, " positions"]] | str:
    """The direction at the attention module's output, and what a post-norm's bias adds."""
    none = before.new_zeros(len(before))
    if not recording.has(Site("attn_out_post", layer)):
        size = (parts.made * parts.made).sum(-1, keepdim=True)
        factor = (parts.attention * parts.made).sum(-1, keepdim=True) / size
        return before * factor.nan_to_num(), none
    post, own = (recording.tap(Site(name, layer)) for name in ("attn_out_post", "attn_out"))
    assert isinstance(post, ModuleTap) and isinstance(own, ModuleTap)
    if post.module is own.module:
        return before, none
    try:
        norm = frozen_norm(post.module, parts.made.to(recording.stream[0].dtype))
    except ModelError as error:
        return str(error)
    return norm.pulled(before), (before * norm.offset).sum(-1)


def _along(part: Tensor, direction: Tensor) -> Tensor:
    return (part * direction).sum(-1)


def _each(parts: Sequence[Tensor], direction: Tensor) -> Float[Tensor, "layers positions"]:
    if not parts:
        return direction.new_zeros(0, len(direction))
    return torch.stack([_along(part, direction) for part in parts])


def _close(recording: Recording, *shares: Tensor) -> float:
    """What of a miss may be rounding."""
    exact = recording.stream[0].dtype in (torch.float32, torch.float64)
    largest = max((float(one.abs().max()) for one in shares if one.numel()), default=0.0)
    return (EXACT if exact else COARSE) * max(1.0, largest)


def _checked(
    recording: Recording, token: int, positions: Sequence[int], place: int, against: int | None
) -> tuple[int, ...]:
    vocabulary, where = recording.logits.shape[-1], tuple(positions)
    for one in (token, against):
        if one is not None and not 0 <= one < vocabulary:
            raise SelectionError(f"Token id {one} is not in the vocabulary of 0..{vocabulary - 1}.")
    if not isinstance(place, int) or not 0 <= place <= recording.layer_count:
        raise SelectionError(
            f"There is no layer {brief(place)} to read a logit at; give 0..{recording.layer_count}."
        )
    if list(where) != sorted(set(where)) or not where or not where[-1] < recording.length:
        raise SelectionError(
            f"A logit is shared out at positions in ascending order, at least one of 0.."
            f"{recording.length - 1}; got {list(where[:5])}."
        )
    return where
