"""A prompt as the text that is given to the processor."""

from __future__ import annotations

from itertools import groupby

from jinja2 import TemplateError

from retinoscope.errors import ModelError, SampleError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.prompt import Part, Prompt, Video
from retinoscope.models.template_trial import check_ends

_IN_TEMPLATES = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What a template's own expressions raise, beside jinja's errors."""


def written_prompt(checkpoint: Checkpoint, prompt: Prompt) -> str:
    """The prompt in the processor's chat template, or in the family's plain form without one.

    In the plain form images that come first stand where the form puts its image; behind each run
    of images and videos stands what the form puts behind its own (a line's end for LLaVA).

    Raises:
        SampleError: the template, or the processor of a form without an image, puts images
            elsewhere than they are given.
    """
    processor, family, runs = checkpoint.processor, checkpoint.family, _runs(prompt)
    behind_text = any(shown for shown, _ in runs[1:])
    if getattr(processor, "chat_template", None):
        if behind_text:
            _check_order(checkpoint, prompt)
        return _templated(checkpoint, [_content(part) for part in prompt.parts])
    form = family.prompt if isinstance(family.prompt, str) else family.prompt(processor)
    start, own, behind = form.rpartition("{image}")
    gap, _, end = behind.partition("{question}")
    if not own:
        # The processor itself puts images before all text.
        start, gap = gap, ""
    if not own and behind_text:
        raise SampleError(
            f"{family.name} reads images before all text; give them first: [image, 'text']."
        )
    text = "".join(
        "".join(_form(checkpoint, part) for part in parts if own or not shown)
        + (gap if shown and more else "")
        for more, (shown, parts) in zip([*[True] * (len(runs) - 1), False], runs, strict=True)
    )
    return f"{start}{text}{end}"


def _templated(checkpoint: Checkpoint, content: list[dict[str, str]]) -> str:
    turn = {"role": "user", "content": content}
    given = checkpoint.processor.chat_template
    # Of several by name the default one is taken; where there is none, filling says so.
    template = given.get("default", "") if isinstance(given, dict) else given
    check_ends(checkpoint.name, template, turn, checkpoint.tokenizer.special_tokens_map)
    try:
        return checkpoint.processor.apply_chat_template([turn], add_generation_prompt=True)
    except (TemplateError, *_IN_TEMPLATES) as error:
        raise ModelError(
            f"The chat template of {checkpoint.name} can't be filled "
            f"({type(error).__name__}: {error}); mend it, or save the processor without one."
        ) from error


def _check_order(checkpoint: Checkpoint, prompt: Prompt) -> None:
    """Some templates (LLaVA-1.5's) write all images before all text, in whatever order they come.

    Raises:
        SampleError: this one does, or where it writes images can't be seen.
    """
    processor, texts = checkpoint.processor, [f"@@{i}@@" for i in range(len(prompt.parts))]
    content = [
        {"type": "text", "text": text} if isinstance(part, str) else _content(part)
        for part, text in zip(prompt.parts, texts, strict=True)
    ]
    written, place = _templated(checkpoint, content), 0
    names = {"video": ("video_token",), "image": ("image_token", "boi_token", "start_image_token")}
    for one in content:
        marks = (
            [one["text"]]
            if "text" in one
            else [
                str(mark) for name in names[one["type"]] if (mark := getattr(processor, name, None))
            ]
        )
        found = [at + len(mark) for mark in marks if (at := written.find(mark, place)) >= 0]
        if not found:
            raise SampleError(
                f"The chat template of {checkpoint.name} does not keep the order of text and "
                "images; give all images first, then the text: vlm.look([image, other], text)."
            )
        place = min(found)


def _runs(prompt: Prompt) -> list[tuple[bool, list[Part]]]:
    """Texts that follow each other, and what is shown together, told by whether it is shown."""
    return [(shown, list(parts)) for shown, parts in groupby(prompt.parts, _is_shown)]


def _is_shown(part: Part) -> bool:
    return not isinstance(part, str)


def _content(part: Part) -> dict[str, str]:
    """A part in the form of chat templates."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "video" if isinstance(part, Video) else "image"}


def _form(checkpoint: Checkpoint, part: Part) -> str:
    """A part in the family's plain form."""
    processor, family = checkpoint.processor, checkpoint.family
    match part:
        case str():
            return part
        case Video():
            form = family.videos.form if family.videos else "{token}"
            return form.format(token=getattr(processor, "video_token", "<video>"))
        case _:
            return family.image.format(token=getattr(processor, "image_token", "<image>"))


def answer_begun(prompt: str, prefix: str) -> str:
    """The prompt with the beginning of an answer, parted by a space unless a line's end does."""
    return f"{prompt}{'' if prompt[-1:].isspace() else ' '}{prefix}" if prefix else prompt
