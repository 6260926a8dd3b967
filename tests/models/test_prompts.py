"""How models are spoken to: text, images and videos in order, and where an answer begins."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny

from retinoscope.errors import SampleError
from retinoscope.models import Prompt, Video, as_prompt, encode
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.families import llava
from retinoscope.models.written import answer_begun, written_prompt
from tests.models import tiny_families
from tests.models.pictures import picture

ONE, OTHER = picture((40, 30)), picture((50, 60), seed=1)
FIRST = (
    "{% for kind in ('image', 'text') %}{% for c in messages[0].content if c.type == kind %}"
    "{{ '<image>' if kind == 'image' else c.text }}{% endfor %}{% endfor %}"
)
"""Images before all text, as LLaVA-1.5's template writes them."""
IN_ORDER = (
    "{% for c in messages[0].content %}{{ '<image>' if c.type == 'image' else c.text }}{% endfor %}"
)


def checkpoint(template: str | None = None) -> Checkpoint:
    found = tiny_families.PLACED["llava"]()
    processor = copy(found.processor)
    processor.chat_template = template
    return replace(found, processor=processor)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("USER: what ASSISTANT:", "USER: what ASSISTANT: It is a"),
        ("<|assistant|>\n", "<|assistant|>\nIt is a"),
        ("ASSISTANT: ", "ASSISTANT: It is a"),
    ],
)
def test_an_answer_begins_behind_one_space_or_line(prompt: str, wanted: str) -> None:
    assert answer_begun(prompt, "It is a") == wanted
    assert answer_begun(prompt, "") == prompt


def test_llava_phi_is_spoken_to_in_its_own_form() -> None:
    processor = SimpleNamespace(tokenizer=tiny.tokenizer())
    assert llava.prompt(processor) == "USER: {image}\n{question} ASSISTANT:"
    processor.tokenizer.add_tokens(["<|user|>", "<|end|>", "<|assistant|>"], special_tokens=True)
    asked = llava.prompt(processor).format(image="<image>", question="Describe this image.")
    assert asked == "<|user|>\n<image>Describe this image.<|end|>\n<|assistant|>\n"


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([ONE, "Is it?"], "USER: <image>\nIs it? ASSISTANT:"),
        ([ONE, OTHER, "Is it?"], "USER: <image><image>\nIs it? ASSISTANT:"),
        (["Is ", ONE, "or ", OTHER, "?"], "USER: Is <image>\nor <image>\n? ASSISTANT:"),
        (["See: ", ONE], "USER: See: <image> ASSISTANT:"),
        (["Is it?"], "USER: Is it? ASSISTANT:"),
        ([ONE], "USER: <image>\nDescribe this image. ASSISTANT:"),
    ],
)
def test_parts_are_written_in_order(parts: list, wanted: str) -> None:
    assert written_prompt(checkpoint(), as_prompt(parts)) == wanted


def test_a_template_that_moves_images_is_refused() -> None:
    mixed = as_prompt(["Is", ONE, "or", OTHER, "?"])
    assert written_prompt(checkpoint(IN_ORDER), mixed) == "Is<image>or<image>?"
    with pytest.raises(SampleError, match="does not keep the order"):
        written_prompt(checkpoint(FIRST), mixed)
    before = as_prompt([ONE, OTHER], "Is it?")
    assert written_prompt(checkpoint(FIRST), before) == "<image><image>Is it?"
    assert written_prompt(checkpoint(FIRST), as_prompt("Is it?")) == "Is it?"
    blip = tiny_families.UNPLACED["blip2"]()
    assert written_prompt(blip, as_prompt(ONE, "dog")) == "Question: dog Answer:"
    with pytest.raises(SampleError, match="before all text"):
        written_prompt(blip, as_prompt(["Is", ONE]))


def test_positions_follow_the_parts() -> None:
    layout = encode(checkpoint(), ["Is ", ONE, "there ", OTHER, "dog"]).layout
    (first, second), text = layout.spans, layout.text
    assert first.grid.size == ONE.size and second.grid.size == OTHER.size
    between = [p for p in text if max(first.positions) < p < min(second.positions)]
    assert between and min(text) < min(first.positions) and max(text) > max(second.positions)
    assert encode(checkpoint(), "Is there a dog ?").layout.spans == ()


def test_what_is_no_prompt_is_refused() -> None:
    with pytest.raises(SampleError, match="is empty"):
        as_prompt([])
    with pytest.raises(SampleError, match="among the parts"):
        as_prompt([ONE, "Is it?"], "Is it?")
    assert "40 x 30" in repr(Prompt((ONE, "Is it?"))) and "1 frames" in repr(Video([ONE], 2))
