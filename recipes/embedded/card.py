"""Write the model card from what was measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from recipes.embedded.curves import STAGES

LOG = Path(__file__).parent / "log"
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
    "count_several": "count, two or three of a class",
    "colour": "colour",
    "where": "where",
    "kind": "kind",
}

CARD = """\
---
license: apache-2.0
language: en
pipeline_tag: image-text-to-text
library_name: transformers
tags: [llava, interpretability]
---
# The embedded model

A miniature LLaVA that was really trained: {millions:.1f} million parameters, {megabytes:.0f} MB in
float16, small enough to ship with the package and to answer in milliseconds on one CPU core. It
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
| vision tower | CLIP, 192 wide, 6 layers, 6 heads; 192 x 192 pixels, 12 x 12 patches of 16 |
| projector | two linear layers, 192 wide |
| decoder | Llama, 192 wide, 8 layers, 6 heads; input and output embeddings are separate |
| tokenizer | word level, {words} tokens, case-sensitive; any other word is `<unk>` |
| prompt | `USER: <image>\\nDescribe this image. ASSISTANT:` |

Visual features are those of the tower's last layer, the class token dropped.

## How it was trained

On scenes that `retinoscope.data.scenes` composes: one to three things of 32 classes, from six
emoji sets (Noto, Noto v1, Firefox OS, Fluent, Fluent flat, EmojiOne), on varied backgrounds.
Twemoji was held out altogether. `recipes/embedded` repeats every step; minutes are of two CPU
cores that other work shared, the first two rows at once, on a core each.

| stage | steps | minutes |
|---|---|---|
{stages}

1. Vision: the tower learns to name what stands in each patch, first in windows around things.
2. Language model, binding: the decoder learns to answer questions about contexts made of words,
   before it sees any image. It answers polls there, but only some questions about places.
3. Projector, decoder: the projector alone, then projector and decoder, on fixed features.
4. Places: a tower asked only what stands in a patch drops where it is, so waves are added to its
   position embeddings and it is asked for row and column as well.
5. Placed: projector and decoder again, half of the images in changed colours.
6. Erasing: the same on images of which half lose a thing: its visual tokens, and in half of these
   one more all around, give way to the mean visual token, and the image is asked about as if the
   thing were not there.
7. Things: the tower is asked of each patch which thing it belongs to: what it is, its place in the
   3 x 3 grid, how many of its class there are, its colour.
8. Together: tower, projector and decoder at once, from the pixels to the answer. The tower's heads
   go on; three images in ten lose a thing as before; one batch in twelve is a raster in words.
   Images of several things, and of several of one class, are drawn more often than they are in new
   scenes.
9. Pointing: the same, while half of the heads of decoder layer 3 are asked to look at the things
   that the question names, and half of those of layer 5 at the thing that it asks for (layers
   counted from 0).
10. Practice, counting: more of the same, asking more about places and counts, then about counts
    above all, and of images that hold several things of one class.
11. Settling: the same from the average of the weights of these two, at half the rate. Counting and
    settling were added because the table below had shown .885 for counts after `practice`.

Three stages end before their schedule of the learning rate does (language model at 1,100 of 1,600
steps, decoder at 300 of 700, together at 700 of 1,900): they were cut short when their curves went
flat, and the recipe repeats that.

### A choice that shapes the logit lens

About a fifth (22 %) of the batches of the two text stages, and some of the last stage's, have a
*raster* as context: the words of a scene cell by cell in reading order ("sky sky dog dog grass
..."), the way visual tokens come. Such text rewards layers that turn a position's content into its
word. Without it there is no such refinement, and the logit lens finds nothing at any layer; with
far more, the early layers decode already. **That object patches decode to their word in the later
layers of this model is therefore a consequence of how it was trained, not evidence about large
models.** Use it to check methods, not to draw conclusions about LLaVA.

### A choice that shapes the ablations

The tower spreads what it sees over all of its tokens, so that a thing whose own tokens are gone is
still half known from the others. The last stages train the model to say that such a thing is
not there. **That this model loses a thing with its tokens is therefore trained, too, and no
evidence about large models.**

### A choice that shapes the knockouts

Answers alone hardly taught the decoder to find what stands at a place; it guessed among the things
that were there. The last four stages show it where to look, in layers 3 and 5 of 0 to 7. **That
the answer is read from the thing's tokens in these layers is therefore trained as well.**

## How good it is

Share right on {scenes} scenes of new compositions each, greedy decoding in float32 through plain
`transformers`. An answer counts only when it is right to the last word. Everything is one seed.

| task | training sprites | held-out sprites |
|---|---|---|
{quality}

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

## Limits

- It knows nothing but these scenes. On photographs its answers mean nothing.
- Things are emoji of 38 to 100 pixels, upright but for a slight turn, never more than three.
- "Left", "top" and so on are thirds of the image; a thing's colour is the word that most of its
  pixels vote for, and its colour answers are the weakest.
- Prompts other than the trained wordings may give nonsense.

## Licences

Weights: Apache-2.0. The sprites they were trained on are under Apache-2.0, MIT and CC-BY-4.0;
NOTICE names their authors.
"""


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _stages() -> str:
    rows = []
    for name in STAGES:
        with (LOG / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            last = list(csv.DictReader(stream))[-1]
        rows.append([name.replace("_", " "), last["step"], f"{float(last['seconds']) / 60:.0f}"])
    return _table(rows)


def write_card(folder: Path) -> None:
    """Write README.md of an exported and measured folder."""
    quality = json.loads((folder / "quality.json").read_text("utf-8"))
    behaviour = json.loads((folder / "behaviour.json").read_text("utf-8"))
    words = len(json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    size = (folder / "model.safetensors").stat().st_size
    train, heldout = quality["train_sprites"], quality["heldout_sprites"]
    ablation = behaviour["ablation"]
    knockout = behaviour["knockout"]
    windows = list(knockout["object+1"])
    text = CARD.format(
        millions=size / 2e6,
        megabytes=size / 1e6,
        words=words,
        stages=_stages(),
        scenes=f"{quality['scenes']:,}",
        scenes_behaviour=behaviour["things"],
        quality=_table(
            [[label, f"{train[key]:.3f}", f"{heldout[key]:.3f}"] for key, label in ROWS.items()]
        ),
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
    (folder / "README.md").write_text(text, "utf-8")
