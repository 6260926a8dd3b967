"""The self-check: on every recording, that replaying it gives what the model itself gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.evaluate import replayed
from retinoscope.engine.recording.agreement import disagreement, once
from retinoscope.engine.recording.inputs import named_tokens
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.recording.recording import Recording, Unreplayable
from retinoscope.engine.recording.vocabulary import TokenInput, text_config
from retinoscope.engine.replay.decoding import Decoding
from retinoscope.engine.replay.replay import run_suffix
from retinoscope.errors import RetinoscopeError
from retinoscope.interventions import Edge, Edits, Write
from retinoscope.interventions.edits import place_site
from retinoscope.models.memory import pass_memory

FEW = 4
"""Positions that the empty condition is replayed on."""

STEPS = 3
"""Tokens that are generated to compare them."""


def self_checked(recording: Recording) -> Recording:
    """The recording, falling back with a reason where the replay is not exact.

    An empty condition must reproduce the clean logits on every recording. Random conditions,
    several in a pass, and tokens generated under them must equal the full forward: on the model's
    first recording and on each that is longer than those before it.
    """
    replay = recording.replay
    if isinstance(replay, Unreplayable):
        return recording
    length = recording.length + recording.max_new_tokens

    def asked(name: str, check: Check) -> str | None:
        return once(recording.checkpoint, name, length, lambda: _reason(check, recording))

    name = "conditions before new tokens" if recording.max_new_tokens else "conditions"
    reason = _reason(_empty_condition, recording) or asked(name, _conditions)
    if reason is not None:
        return replace(recording, replay=Unreplayable(reason))
    if recording.max_new_tokens > 1 and isinstance(replay.generation, TokenInput):
        reason = asked("generation", _generation)
    if reason is None:
        return recording
    return replace(recording, replay=replace(replay, generation=Unreplayable(reason)))


Check = Callable[[Recording], str | None]
"""Says what is wrong with replaying a recording, if something is."""


def _reason(check: Check, recording: Recording) -> str | None:
    """What a check says; layers that can't be called in the engine's way are a reason too."""
    try:
        return check(recording)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        return f"its layers can't be called again ({type(error).__name__}: {error})"
    except RetinoscopeError as error:
        return f"its layers can't be called again ({error})"


def _empty_condition(recording: Recording) -> str | None:
    """The last few positions, run again, end where they ended and predict what was predicted."""
    start = max(0, recording.length - FEW)
    hidden = run_suffix(recording, recording.stream[0][None, start:], start)[0]
    before = recording.stream[-1][start:].to(hidden.device)
    # Unembedding costs by the row: logits of the first and the last, states of those between.
    first, last, clean = recording.unembed(torch.stack([hidden[0], hidden[-1], before[0]]))
    for got, wanted in ((first, clean), (last, recording.logits), (hidden[1:-1], before[1:-1])):
        error = disagreement(got, wanted)
        if error is not None:
            return f"replaying the clean run gives other logits than the model ({_said(error)})"
    return None


def _conditions(recording: Recording) -> str | None:
    drawn = random_conditions(recording)
    last, vocabulary = (recording.length - 1,), recording.logits.shape[-1]
    logits = recording.logits.new_empty((len(drawn), 1, vocabulary), dtype=torch.float32)
    replayed(recording, drawn, last, pass_memory(recording.checkpoint), logits)
    for one, found in zip(drawn, logits[:, 0].to(recording.logits.dtype), strict=True):
        error = disagreement(found, full_logits(recording, one)[0])
        if error is not None:
            return f"a random condition differs from the full forward ({_said(error)})"
    return None


def _generation(recording: Recording) -> str | None:
    """Conditions side by side, each fed tokens of its own; one is dropped on the way."""
    drawn = [(), *random_conditions(recording)]
    steps = min(STEPS, recording.max_new_tokens - 1)
    tokens = _tokens(recording, len(drawn), steps)
    decoding, live = Decoding(recording, drawn), list(range(len(drawn)))
    for step in range(steps):
        decoding.feed(tokens[live, step].to(recording.logits.device))
        compared = live if step == steps - 1 else live[:1]
        for row, found in zip(compared, decoding.logits.to(recording.logits.dtype), strict=False):
            fed = tokens[row, : step + 1].tolist()
            error = disagreement(found, full_logits(recording, drawn[row], tokens=fed)[0])
            if error is not None:
                return f"a generated token differs from the full forward ({_said(error)})"
        if step == 0 and steps > 1:
            live = live[1:]
            decoding.keep(live)
    return None


def _tokens(recording: Recording, rows: int, steps: int) -> Int[Tensor, "rows steps"]:
    """Plain text to feed, of the prompt where it has some; never the token that is the filler.

    Tokens that the configuration names, such as an image's, mean more to a model than text.
    """
    ids = recording.encoded.inputs["input_ids"][0].tolist()
    configs = recording.checkpoint.model.config, text_config(recording.checkpoint)
    taken = {ids[-1], *(t for c in configs for each in named_tokens(c).values() for t in each)}
    said = [ids[position] for position in recording.encoded.layout.text]
    plain = sorted({*said} - taken) or sorted({*range(recording.logits.shape[-1])} - taken)
    at = torch.arange(rows * steps) % len(plain)
    return torch.tensor(plain)[at].view(rows, steps)


def _said(error: float) -> str:
    return f"by {100 * error:.2g} % of their spread"


def random_conditions(recording: Recording, seed: int = 0) -> list[Edits]:
    """Writes and knockouts of every kind.

    They come in pairs that run in one pass: one over most of the prompt, one over its last few
    positions, and one of the last position alone. Writes are at the input and in the middle,
    knockouts of all heads and of one; that of one is in every layer, to be seen above half
    precision's rounding.
    """
    draw = _Draw(recording, torch.Generator().manual_seed(seed))
    early, late = draw.below((recording.length - 1) // 2), max(0, recording.length - 3)
    middle, top = recording.layer_count // 2, recording.layer_count - 1
    deep = [i for i, one in enumerate(recording.layers) if isinstance(one.mixing, SelfAttention)]
    cases: list[Edits] = [
        (draw.noise(0, early),),
        (draw.noise(middle, early + 1), *draw.knockout(top)),
        (draw.noise(0, late),),
        (draw.noise(middle, late + 1),),
    ]
    if deep:
        head = draw.below(recording.head_count)
        other = (head - 1,) if head else None
        throughout = [edge for layer in deep for edge in draw.knockout(layer, (head,))]
        cases += [
            tuple(throughout),
            draw.knockout(deep[0]) + draw.knockout(deep[-1], other),
        ]
    return [edits for edits in cases if edits]


class _Draw:
    """Random writes and knockouts on one recording."""

    def __init__(self, recording: Recording, generator: torch.Generator) -> None:
        self.recording = recording
        self.generator = generator

    def below(self, top: int) -> int:
        return int(torch.randint(max(1, top), (1,), generator=self.generator))

    def noise(self, place: int, position: int) -> Write:
        """A random vector of the length of the one that it takes the place of."""
        position = min(position, self.recording.length - 1)
        clean = self.recording.stream[place][[position]]
        vector = torch.randn(clean.shape, generator=self.generator).to(clean)
        vector *= clean.norm() / vector.norm()
        return Write(place_site(place, self.recording), (position,), vector)

    def knockout(self, layer: int, heads: tuple[int, ...] | None = None) -> tuple[Edge, ...]:
        """Most of what the last position reads, but for the last key that it can."""
        recording, last = self.recording, self.recording.length - 1
        if not isinstance(recording.layers[layer].mixing, SelfAttention):
            return ()
        row = recording.layers[layer].allowed[last, : recording.length]
        keys = torch.nonzero(row).flatten().tolist()[:-1]
        chosen = tuple(keys[:: 1 + self.below(2)])
        return (Edge(layer, (last,), chosen, heads),) if chosen else ()
