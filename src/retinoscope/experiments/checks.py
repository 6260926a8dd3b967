"""Behavioural checks: does what Retinoscope believes of a model hold for this very model?

The first thing to run with a model that is new. Each check asks the model itself, on one image and
one question, and takes a few forward passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from retinoscope.engine import Recording, evaluate, look
from retinoscope.errors import InterventionError, RetinoscopeError
from retinoscope.experiments.cell_probe import probe_cells
from retinoscope.geometry import UnplacedGrid
from retinoscope.interventions import Condition, Knockout, Patch
from retinoscope.lens import read_lens
from retinoscope.models import Checkpoint, encode

QUESTION = "Describe this image."


@dataclass(frozen=True)
class Check:
    """One check of one model.

    Attributes:
        name: what was checked, in a few words.
        passed: whether it holds; None where it can't be asked of this model.
        detail: what was measured, or why it could not be.
    """

    name: str
    passed: bool | None
    detail: str


def check(checkpoint: Checkpoint, image: Image.Image, question: str = QUESTION) -> list[Check]:
    """Every check on a model, with an image and a question of the user's choice.

    Args:
        checkpoint: the model; it is as before afterwards.
        image: an RGB image, best one with detail everywhere.
        question: what to ask.

    Returns:
        One Check each for the token map, the recording, knockouts (two), the logit lens, and the
        two attention implementations. A check that breaks fails with the error as its detail.
    """
    checks = [_guarded("token map", lambda: _token_map(checkpoint, image, question))]
    asked: dict[str, Callable[[Recording], Check]] = {
        "recording equals the model": _recording,
        "knockout takes effect": _effect,
        "blocked attention is exactly zero": _zero,
        "lens agrees with the logits": _lens,
    }
    try:
        recording = look(checkpoint, image, question)
        checks += [_guarded(name, partial(ask, recording)) for name, ask in asked.items()]
    except RetinoscopeError as error:
        first, *others = asked
        checks.append(Check(first, False, str(error)))
        checks += [Check(name, None, "The model can't be recorded.") for name in others]
    return [
        *checks,
        _guarded("eager equals SDPA", lambda: _attention(checkpoint, image, question)),
    ]


def _guarded(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except RetinoscopeError as error:
        return Check(name, False, str(error))


def _token_map(checkpoint: Checkpoint, image: Image.Image, question: str) -> Check:
    name = "token map"
    (span,) = encode(checkpoint, image, question).layout.spans
    if isinstance(span.grid, UnplacedGrid):
        return Check(name, None, span.grid.reason)
    probes = probe_cells(checkpoint, image, question)
    if not probes:
        return Check(name, None, "No cell covers enough pixels of this image; give a larger one.")
    wrong = [probe for probe in probes if not probe.right]
    if wrong:
        return Check(
            name,
            False,
            f"{len(wrong)} of {len(probes)} cells moved other tokens than their own: the pixels of "
            f"cell {wrong[0].cell} moved position {wrong[0].moved} most, not "
            f"{wrong[0].position}.",
        )
    return Check(
        name,
        True,
        f"Changing the pixels of each of {len(probes)} cells moved its own token and no other.",
    )


def _recording(recording: Recording) -> Check:
    with torch.no_grad():
        inputs = recording.encoded.inputs
        own = recording.checkpoint.model(**inputs, use_cache=False).logits[0, -1].float()
    replayed = evaluate(recording, [()]).logits[0]
    error = max(_apart(recording.logits.float(), own), _apart(replayed, own))
    return Check(
        "recording equals the model",
        error <= _tolerance(recording),
        f"The recorded and the replayed logits are {error:.1e} of the model's largest away.",
    )


def _effect(recording: Recording) -> Check:
    keys, what = _keys(recording)
    layer, clean = recording.layer_count - 1, evaluate(recording, [()]).logits[0]
    conditions: list[Condition] = [
        (Knockout([recording.length - 1], keys, [layer]),),
        (Knockout([recording.length - 1], keys, range(recording.layer_count)),),
    ]
    for condition in reversed(conditions):
        try:
            change = _apart(evaluate(recording, [condition]).logits[0], clean)
        except InterventionError:
            continue
        return Check(
            "knockout takes effect",
            change > _tolerance(recording),
            f"Hiding {what} from the last position moved the logits by {change:.1e} of the "
            "largest.",
        )
    return Check("knockout takes effect", None, "No attention edge there can be cut.")


def _zero(recording: Recording) -> Check:
    """With the edges of the last layer cut, what the keys hold there can't reach the answer."""
    name = "blocked attention is exactly zero"
    keys, what = _keys(recording)
    layer = recording.layer_count - 1
    block = Knockout([recording.length - 1], keys, [layer])
    generator = torch.Generator().manual_seed(0)
    clean = recording.residual(layer)[keys]
    noise = torch.randn(clean.shape, generator=generator).to(clean) * clean.float().std()
    other = Patch(keys, layer, noise.to(clean))
    try:
        cut, both = evaluate(recording, [(block,), (other, block)]).logits
    except InterventionError as error:
        return Check(name, None, f"The last layer has no such edge: {error}")
    open_path = _apart(evaluate(recording, [(other,)]).logits[0], recording.logits.float())
    if open_path <= _rounding(recording):
        return Check(name, None, f"The last layer reads nothing from {what}, blocked or not.")
    leak = _apart(both, cut)
    detail = (
        f"Noise on {what} moved the logits by {open_path:.1e} of the largest with the edges open "
        f"and by {leak:.1e} with them cut."
    )
    return Check(name, leak <= _rounding(recording), detail)


def _lens(recording: Recording) -> Check:
    best = int(recording.logits.argmax())
    reading = read_lens(recording, [recording.length - 1], k=1, tracked=[best])
    own = recording.logits.float().log_softmax(-1)[best]
    error = abs(float(reading.log_probability[0, -1, 0]) - float(own))
    return Check(
        "lens agrees with the logits",
        error <= 10 * _tolerance(recording),
        f"At the last layer the lens gives the model's answer a log probability {error:.1e} nats "
        "away from the model's own.",
    )


def _attention(checkpoint: Checkpoint, image: Image.Image, question: str) -> Check:
    name = "eager equals SDPA"
    inputs = encode(checkpoint, image, question).inputs
    model, logits = checkpoint.model, []
    before = model.config._attn_implementation or "eager"
    try:
        for implementation in ("eager", "sdpa"):
            model.set_attn_implementation(implementation)
            with torch.no_grad():
                logits.append(model(**inputs, use_cache=False).logits[0, -1].float())
    except (ValueError, ImportError) as error:
        return Check(name, None, f"The model does not offer both: {error}")
    finally:
        model.set_attn_implementation(before)
    error = _apart(*logits)
    bound = 1e-3 if model.dtype == torch.float32 else 5e-2
    return Check(name, error <= bound, f"Their logits are {error:.1e} of the largest apart.")


def _keys(recording: Recording) -> tuple[list[int], str]:
    """Positions that the last one reads: the visual tokens, or the text if there are none."""
    layout = recording.encoded.layout
    if layout.visual:
        return list(layout.visual), "the visual tokens"
    return list(range(1, recording.length - 1)), "the text between the first and last token"


def _apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest expected logit."""
    largest = expected.float().abs().max().clamp_min(1e-9)
    return float((found.float() - expected.float()).abs().max() / largest)


def _tolerance(recording: Recording) -> float:
    """How far two ways of computing the same logits may be apart, as a share of the largest."""
    return 1e-4 if recording.checkpoint.model.dtype == torch.float32 else 2e-2


def _rounding(recording: Recording) -> float:
    """As `_tolerance`, where the same computation only runs in another batch."""
    return 1e-6 if recording.checkpoint.model.dtype == torch.float32 else 1e-2
