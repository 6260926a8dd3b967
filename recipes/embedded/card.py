"""Write the model card from what was measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from recipes.embedded.curves import STAGES

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
float16, small enough to ship with the package and to run on one CPU core. It
is there so that every experiment of Retinoscope runs anywhere in minutes, against a model whose
images are known to the pixel. It is an instrument, not a product: it knows 32 things, {words} words
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
every step; minutes are of one H200, on which other models were trained meanwhile.

| stage | steps | minutes |
|---|---|---|
{stages}

1. Parts: the tower learns to say of each patch which thing it shows, that thing's place, colour and
   number, and where the patch is. Beside it, the decoder learns to answer questions about contexts
   made of words.
2. Together: tower, projector and decoder at once, from the pixels to the answer; the tower's tasks
   and a few texts go on. The shipped weights are a running mean, rounded to 8 significant bits.

{choices}## How good it is

{how}

| task | training sprites | held-out sprites | held-out, in lines |
|---|---|---|---|
{quality}

{effects}## Limits

- It knows nothing but these scenes. On photographs its answers mean nothing.
- Things are emoji of 36 to 100 pixels, upright but for a slight turn, never more than six.
- "Left", "top" and so on are thirds of the image; a thing's colour is the word that most of its
  pixels vote for, and its colour answers are the weakest.
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
float32 through plain `transformers`. An answer counts only when it is right to the last word.
Everything is one seed. The third column is Twemoji again, drawn in black lines on white wherever a
colour changes; training had drawings in lines of another kind. Questions about colours are left out
there.""",
    "training": """\
Share right on {scenes:,} new scenes each, of the kinds that were trained, measured in float32 at
the end of the training by the recipe's own code, not yet through `transformers`; what is not there
was not measured. An answer counts only when it is right to the last word.
Everything is one seed.""",
}
"""How the quality was measured, by what measured it."""

CHOICES = {
    "embedded": """\
### A choice that shapes the logit lens

About a fifth (22 %) of the texts, in both stages, have a *raster* as context: the words of a scene
cell by cell in reading order ("sky sky dog dog grass ..."), the way visual tokens come. Such text
rewards layers that turn a position's content into its word. **That object patches decode to their
word in the later layers of this model is therefore a consequence of how it was trained, not
evidence about large models.** Use it to check methods, not to draw conclusions about LLaVA. At the
best layer 13 % of this model's object patches decode to their word (500 new scenes), and 88 % of
the reference's, which lacks the next two choices; which of them makes the difference is not
measured here.

### A choice that shapes the ablations

The tower spreads what it sees over all of its tokens, so that a thing whose own tokens are gone is
still half known from the others. Of the images of the second stage, 30 % lose a thing: its visual
tokens, with or without their neighbours, give way to the mean visual token, and the image is asked
about as if the thing were not there. **That this model loses a thing with its tokens is therefore
trained, too, and no evidence about large models.**

### A choice that shapes the knockouts

Half of the heads of decoder layers 3 and 5 (of 0 to 7) are shown where to look in the second stage:
at the things that the question names in layer 3, at the thing that it asks for in layer 5. **That
the answer is read from the thing's tokens in these layers is therefore trained as well.**

""",
    "reference": """\
### What it lacks

It began from the same parts as the embedded model and saw the same images in the same order. But
no image lost a thing, and no head was shown where to look: what it shows of ablations and knockouts
came by itself. Its texts held the same rasters (22 %), so what the logit lens finds is no evidence
about large models.

""",
}
"""What training built in, by the model's name."""
TITLES = {"embedded": "The embedded model", "reference": "The reference of the embedded model"}


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _stages() -> str:
    rows = []
    for name in STAGES:
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


def write_card(name: str, folder: Path) -> None:
    """Write README.md of an exported and measured folder.

    Args:
        name: "embedded" or "reference".
        folder: of the model.
    """
    quality = json.loads((folder / "quality.json").read_text("utf-8"))
    words = len(json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    size = (folder / "model.safetensors").stat().st_size
    styles = [quality.get(style, {}) for style in STYLES]
    text = CARD.format(
        title=TITLES[name],
        choices=CHOICES[name],
        millions=size / 2e6,
        megabytes=size / 1e6,
        words=words,
        stages=_stages(),
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
