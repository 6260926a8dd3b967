"""Write the model card from what was measured."""

from __future__ import annotations

import csv
import json
import textwrap
from pathlib import Path

from recipes.embedded.choices import TOLD, Told

LOG = Path(__file__).parent / "log"
STYLES = ("train_sprites", "heldout_sprites", "heldout_lines")
ROWS = {
    "describe_recall": "describe: things that are named",
    "describe_precision": "describe: named things that are there",
    "describe_exact": "describe: exactly the right classes",
    "poll": "poll",
    "poll_yes": "poll, the thing is there",
    "poll_no": "poll, it is not",
    "ask": "ask (position and relation)",
    "position": "ask: position",
    "relation": "ask: relation",
    "count": "count",
    "count_several": "count, two or more of a class",
    "colour": "colour, by a vote of the thing's pixels",
    "where": "where",
    "kind": "kind",
    "painted": "colour of a painted thing",
    "colour_at": "colour of the thing at a place",
    "place_of": "place of the thing of a colour",
    "compare": "compare two counts",
    "adjacent": "directly beside",
    "between": "between",
    "two_hop": "colour of the thing beside another",
    "chain": "chain of two neighbours",
}

CARD = """\
---
license: apache-2.0
language: en
pipeline_tag: image-text-to-text
library_name: transformers
tags: [llava, interpretability]
---
# {title}

A miniature LLaVA that was really trained: {millions:.1f} million parameters, {megabytes:.0f} MB in
float16, small enough to be shipped and to run on one CPU core. It is there
so that every experiment of Retinoscope runs anywhere in minutes, against a model whose images are
known to the pixel. It is an instrument, not a product: it knows 32 things, {words} words
and the scenes they were composed into.

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained(folder)
model = AutoModelForImageTextToText.from_pretrained(folder)
```

## What it is

| part | shape |
|---|---|
| vision tower | CLIP, 192 wide, 8 layers, 6 heads; 192 x 192 pixels, 12 x 12 patches of 16 |
| projector | two linear layers, 192 wide |
| decoder | Llama, 192 wide, 8 layers, 6 heads; input and output embeddings are separate |
| tokenizer | word level, {words} tokens, case-sensitive; any other word is `<unk>` |
| prompt | `USER: <image>\\nDescribe this image. ASSISTANT:` |

Visual features are those of the tower's last layer, the class token dropped.

## How it was trained

On 50,000 scenes that `retinoscope.data.scenes` composes and arranges: one to six things of 32
classes, from six emoji sets (Noto, Noto v1, Firefox OS, Fluent, Fluent flat, EmojiOne), on varied
backgrounds, most of them in another style each time (palettes, tints, outlines, drawings in lines,
blur, texture, noise, compression). Twemoji was held out altogether. `recipes/embedded` repeats
every step; minutes are of one H200, on which other models were trained meanwhile{tuned_on}.

| stage | steps | minutes |
|---|---|---|
{stages}

1. Parts: the tower learns to say of each patch which thing it shows, that thing's place, colour and
   number, and where the patch is. Beside it, the decoder learns to answer questions about contexts
   made of words.
2. Together: tower, projector and decoder at once, from the pixels to the answer; the tower's tasks
   and a few texts go on. The weights at its end are a running mean, rounded to 8 significant bits.
{tuned}
{choices}## How good it is

{how}

| task | training sprites | held-out sprites | held-out, in lines |
|---|---|---|---|
{quality}

{effects}## Limits

- It knows nothing but these scenes. On photographs its answers mean nothing.
- Things are emoji of 36 to 100 pixels, upright but for a slight turn, never more than six.
- "Left", "top" and so on are thirds of the image; a thing's colour is the word that most of its
  pixels vote for.
- Prompts other than the trained wordings may give nonsense.

## Licences

Weights: Apache-2.0. The sprites they were trained on are under Apache-2.0, MIT and CC-BY-4.0;
NOTICE names their authors.
"""


EFFECTS = """\
## What it shows

On {scenes_behaviour} things of new compositions that are the only one of their class:

- Replacing tokens by the mean visual token turns this share of right answers wrong:

| replaced | tokens | describe | poll | ask |
|---|---|---|---|---|
{ablation}

- Object patches (half covered or more) that decode to their word, layer 0 (embeddings) to 8:
  {lens}.
- When the last position can't see the thing's tokens and their neighbours (layers: {windows}), this
  share of right asks turns wrong; below it, with all other visual tokens hidden instead (the first
  100 of the things):

| hidden | {window_names} |
|---|{window_rules}
{knockout}

"""

HOW = {
    "transformers": """\
Share right on {scenes:,} new scenes each, one half composed and one arranged, greedy decoding in
float32 through plain `transformers`. Descriptions are of the composed half. An answer counts only
when it is right to the last word. Everything is one seed. The third column is Twemoji
again, drawn in black lines on white wherever a colour changes; training had drawings in lines of
another kind. Questions about colours are left out there.""",
    "training": """\
Share right on {scenes:,} new scenes each, of the kinds that were trained, measured in float32 at
the end of the training by the recipe's own code, not yet through `transformers`; what is not there
was not measured. An answer counts only when it is right to the last word.
Everything is one seed.""",
}
"""How the quality was measured, by what measured it."""


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


TUNED = """\
3. Colours: projector and decoder alone, the tower as it is; rows with questions about colours are
   drawn more often. What is shipped is the mean of the weights before and after, rounded as before:
   it has most of what either knows of colours and counts.
"""


def _stages(names: tuple[str, ...]) -> str:
    rows = []
    for name in names:
        with (LOG / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            last = list(csv.DictReader(stream))[-1]
        rows.append([name.replace("_", " "), last["step"], f"{float(last['seconds']) / 60:.1f}"])
    return _table(rows)


def _effects(file: Path) -> str:
    """Say what the three effects are where they have been measured."""
    if not file.exists():
        return ""
    behaviour = json.loads(file.read_text("utf-8"))
    ablation, knockout = behaviour["ablation"], behaviour["knockout"]
    windows = list(knockout["object+1"])
    return EFFECTS.format(
        scenes_behaviour=behaviour["things"],
        ablation=_table(
            [
                [
                    name,
                    f"{row['tokens']:.1f}",
                    *(f"{row[t]:.3f}" for t in ("describe", "poll", "ask")),
                ]
                for name, row in ablation.items()
                if name != "clean"
            ]
        ),
        lens=", ".join(f"{share:.2f}" for share in behaviour["lens"]),
        windows=", ".join(f"{k} {v[0]}-{v[1]}" for k, v in behaviour["windows"].items()),
        window_names=" | ".join(windows),
        window_rules="---|" * len(windows),
        knockout=_table(
            [
                [name, *(f"{knockout[name][w]:.3f}" for w in windows)]
                for name in ("object+1", "others")
            ]
        ),
    )


def _choices(told: Told) -> str:
    parts = [_wrapped(told.about)]
    for choice in told.choices:
        title = f"### A choice that shapes {choice.shapes}"
        parts += [title, _wrapped(f"{choice.text} **{choice.sentence}**")]
    return "\n\n".join(parts) + "\n\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def write_card(name: str, folder: Path) -> None:
    """Write README.md of an exported and measured folder, and what the report says of its training.

    Args:
        name: "reference", which is shipped as "embedded", or "pointed".
        folder: of the model.
    """
    told = {choice.verdict: choice.sentence for choice in TOLD[name].choices}
    (folder / "built_in.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    quality = json.loads((folder / "quality.json").read_text("utf-8"))
    words = len(json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    size = (folder / "model.safetensors").stat().st_size
    styles = [quality.get(style, {}) for style in STYLES]
    text = CARD.format(
        title=TOLD[name].title,
        choices=_choices(TOLD[name]),
        millions=size / 2e6,
        megabytes=size / 1e6,
        words=words,
        stages=_stages(TOLD[name].stages),
        tuned=TUNED if "colours" in TOLD[name].stages else "",
        tuned_on=", of the last stage of one core" if "colours" in TOLD[name].stages else "",
        how=HOW[quality["by"]].format(scenes=quality["scenes"]),
        effects=_effects(folder / "behaviour.json"),
        quality=_table(
            [
                [label, *(f"{shares[key]:.3f}" if key in shares else "-" for shares in styles)]
                for key, label in ROWS.items()
            ]
        ),
    )
    (folder / "README.md").write_text(text, "utf-8")
