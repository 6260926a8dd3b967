"""Ask an exported folder through plain `transformers`: its classes, its processor, its cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, DynamicCache

from retinoscope.data.scenes.classes import CLASSES, NAMES

ROWS = 50
LONGEST = 40
"""Most tokens of an answer."""


@dataclass(frozen=True)
class Asked:
    """A question about one of several images, with the answer that is right.

    Attributes:
        image: number of the image.
        question: the question.
        answer: the whole answer.
        measure: what it counts for.
    """

    image: int
    question: str
    answer: str
    measure: str


class Answerer:
    """The exported model and processor, answering in batches."""

    def __init__(self, folder: Path) -> None:
        """Load the folder in float32."""
        # Any: the auto classes are typed as bare base classes.
        self.processor: Any = AutoProcessor.from_pretrained(folder)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()

    def prompt(self, question: str) -> str:
        """Return a question as the chat template puts it."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        message = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(message, add_generation_prompt=True)

    def inputs(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> Any:
        """Return model inputs for as many images as questions, padded at the left."""
        texts = [self.prompt(question) for question in prompts]
        pictures = [Image.fromarray(image) for image in images]
        return self.processor(images=pictures, text=texts, padding=True, return_tensors="pt")

    @torch.no_grad()
    def answer(
        self, images: Sequence[np.ndarray], prompts: Sequence[str], new_tokens: int = LONGEST
    ) -> list[str]:
        """Generate answers greedily."""
        found: list[str] = []
        for start in range(0, len(prompts), ROWS):
            rows = slice(start, start + ROWS)
            inputs = self.inputs(images[rows], prompts[rows])
            output = self.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
            output = output[:, inputs["input_ids"].shape[1] :]
            found += self.processor.batch_decode(output, skip_special_tokens=True)
        return [text.strip() for text in found]

    @torch.no_grad()
    def right(self, images: Sequence[np.ndarray], asked: Sequence[Asked]) -> Bool[np.ndarray, " n"]:
        """Say of each question whether greedy decoding gives its answer, to the last token.

        An image is read once for all of its questions. The right answer is put behind each; it is
        what greedy decoding gives exactly where each of its tokens, and the end after them, is the
        likeliest one behind those before it.
        """
        if not asked:
            return np.zeros(0, bool)
        shown = sorted({each.image for each in asked})
        row_of = {image: row for row, image in enumerate(shown)}
        start = self.inputs([images[i] for i in shown], [asked[0].question] * len(shown))
        ids = start["input_ids"][0].tolist()
        length = len(ids) - ids[::-1].index(self.model.config.image_token_id)
        start = {
            "input_ids": start["input_ids"][:, :length],
            "pixel_values": start["pixel_values"],
        }
        known = self.model(**start, past_key_values=DynamicCache(), use_cache=True).past_key_values
        known.batch_select_indices(torch.tensor([row_of[each.image] for each in asked]))
        questions = [self._words(self.prompt(each.question).split("<image>")[1]) for each in asked]
        end = self.model.generation_config.eos_token_id
        answers = [[*self._words(each.answer), end] for each in asked]
        longest = max(len(q) + len(a) for q, a in zip(questions, answers, strict=True))
        rows = torch.zeros(len(asked), longest, dtype=torch.long)
        for row, question, answer in zip(rows, questions, answers, strict=True):
            row[: len(question) + len(answer)] = torch.tensor(question + answer)
        best = self.model(input_ids=rows, past_key_values=known).logits.argmax(-1)
        right = []
        for row, question, answer in zip(best, questions, answers, strict=True):
            first = len(question) - 1
            right.append(row[first : first + len(answer)].tolist() == answer)
        return np.array(right)

    def _words(self, text: str) -> list[int]:
        return self.processor.tokenizer(text, add_special_tokens=False).input_ids


def named_classes(text: str) -> set[str]:
    """Return the classes that a text names as whole words, singular or plural."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return {name for name in NAMES if words & {name, CLASSES[name].plural}}
