"""Reasoning measures what questions with steps are about, in the files of benchmarks too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny

from retinoscope.data import Sample, load_image, open_data
from retinoscope.errors import DataError, RunError
from retinoscope.experiments import Settings
from retinoscope.report.verdict import HELD
from retinoscope.results import Results, read
from retinoscope.results.experiment import experiments
from retinoscope.results.protocol import CORRECTED
from retinoscope.runs import Plan, Silent, run
from tests.data.formats_folder import FILES, written
from tests.experiments import wired_model as wired
from tests.experiments.random_model import saying
from tests.experiments.test_wired import hops, two_things


def measured(folder: Path, model: Path, data: str) -> Results:
    plan = Plan(
        folder / "run", str(model), data=data, experiments=("reasoning",), settings=Settings()
    )
    return read(run(plan, Silent()))


def images(samples: Sequence[Sample], folder: Path, name: Callable[[int], str]) -> None:
    folder.mkdir(parents=True)
    for one in samples:
        load_image(one).save(folder / name(one.image_id), quality=100, subsampling=0)


def instances(samples: Sequence[Sample], root: Path) -> None:
    """COCO's objects of the pictures, in its own file."""
    names = [*wired.COLOURS]
    found: dict[str, Any] = {
        "images": [
            {"id": one.image_id + 1, "file_name": coco(one.image_id), "width": 56, "height": 56}
            for one in samples
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {
                "id": it.object_id + 1,
                "image_id": one.image_id + 1,
                "category_id": 1 + names.index(it.class_name),
                "bbox": it.box,
                "area": it.area,
                "iscrowd": 0,
                "segmentation": [corners(*it.box)],
            }
            for one in samples
            for it in one.annotations
        ],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(found))


def corners(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def coco(number: int) -> str:
    return f"{number + 1:012d}.jpg"


def test_gqa_is_measured_step_by_step(tmp_path: Path) -> None:
    """Each question at the object that it is about, whatever else its image holds."""
    samples = hops(tmp_path)
    root = tmp_path / "gqa"
    images(samples, root / "images", lambda number: f"{number + 1}.jpg")
    asked, graphs = {}, {}
    for one in samples:
        (question,) = one.questions
        key = str(one.image_id + 1)
        left, named, _ = one.annotations
        asked[key] = {
            "imageId": key,
            "question": question.text,
            "answer": question.word,
            "fullAnswer": question.answer,
            "types": {"structural": "query"},
            "annotations": {"answer": {"0": str(left.object_id + 1)}},
            "semantic": [
                _step("select", f"{named.class_name} ({named.object_id + 1})"),
                _step("relate", f"_,left,o ({left.object_id + 1})", 0),
                _step("query", "name", 1),
            ],
        }
        boxes = {
            str(it.object_id + 1): dict(zip("xywh", map(int, it.box), strict=True))
            | {"name": it.class_name}
            for it in one.annotations
        }
        graphs[key] = {"width": 56, "height": 56, "objects": boxes}
    (root / "val_balanced_questions.json").write_text(json.dumps(asked))
    (root / "val_sceneGraphs.json").write_text(json.dumps(graphs))
    wired.hopping(tmp_path / "model")
    found = measured(tmp_path, tmp_path / "model", f"gqa:{root}")
    assert found["reasoning"].filter(test="clean")["right"].to_list() == [True] * len(samples)
    report = experiments()["reasoning"].reporting()
    (verdict,) = report.verdicts(found, report.tables(found, CORRECTED), CORRECTED)
    assert verdict.outcome == HELD
    assert verdict.checks[2].found.startswith("layers 1.0 and 3.0")


def _step(operation: str, argument: str, *inputs: int) -> dict[str, Any]:
    return {"operation": operation, "argument": argument, "dependencies": list(inputs)}


def test_statements_of_vsr_are_measured_at_cocos_objects(tmp_path: Path) -> None:
    samples = two_things(tmp_path, 28)
    root = tmp_path / "vsr"
    images(samples, root / "images", coco)
    instances(samples, root)
    lines = []
    for one in samples:
        subj, obj = (it.class_name for it in one.annotations)
        told = {"image": coco(one.image_id), "label": 1, "relation": "left of"}
        lines.append({**told, "caption": f"The {subj} is left of the {obj}.", "subj": subj})
        lines[-1]["obj"] = obj
    (root / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = f"{lines[0]['caption']} Is this true or false?"
    model = saying(tmp_path / "model", ("True", "False"), samples[0], text)
    found = measured(tmp_path, model, f"vsr:{root}")["reasoning"]
    assert found.filter(test="clean").height == len(samples)
    cuts = found.filter(test="cut", image_id=1)
    assert {"anchor → question", "anchor → last", "question → last"} == set(cuts["place"])
    # Both things are named: eight patches, with those around that are not as near to the other.
    (tokens,) = found.filter(test="ablate", place="anchor", image_id=1)["tokens"]
    assert tokens >= 8


def test_statements_of_whatsup_are_measured_at_objects_that_its_items_are_given(
    tmp_path: Path,
) -> None:
    samples = two_things(tmp_path, 28)
    root = tmp_path / "whatsup"
    images(samples, root / "controlled_images", coco)
    items = []
    for one in samples:
        subject, other = (it.class_name for it in one.annotations)
        right, wrong = (f"A {subject} to the {side} of a {other}" for side in ("left", "right"))
        things = [{"name": it.class_name, "box": it.box} for it in one.annotations]
        image = f"data/controlled_images/{coco(one.image_id)}"
        items.append({"image_path": image, "caption_options": [right, wrong], "objects": things})
    (root / "controlled_images_dataset.json").write_text(json.dumps(items))
    text = open_data(f"whatsup:{root}").samples[0].questions[1].text
    model = saying(tmp_path / "model", ("True", "False"), samples[0], text)
    found = measured(tmp_path, model, f"whatsup:{root}")["reasoning"]
    assert found.filter(test="clean").height == len(samples)
    right = found.filter("clean_right")
    assert {"anchor → question", "anchor → last"} <= set(right.filter(test="cut")["place"])
    assert all(count >= 8 for count in right.filter(test="ablate", place="anchor")["tokens"])


def test_counts_of_tallyqa_are_measured_at_cocos_objects(tmp_path: Path) -> None:
    samples = [
        wired.picture(tmp_path, number, {(0, 0): "dog", (28, 28): "dog", (0, 42): "cat"}, 14)
        for number in range(2)
    ]
    root = tmp_path / "tallyqa"
    images(samples, root / "images" / "val2014", coco)
    instances(samples, root)
    text = "How many dogs are there?"
    told = [
        {"image": f"val2014/{coco(number)}", "answer": answer, "issimple": simple, "question": text}
        for number, answer, simple in ((0, 2, True), (0, 2, False), (1, 3, True))
    ]
    (root / "test.json").write_text(json.dumps(told))
    model = saying(tmp_path / "model", ("2", "1"), samples[0], text)
    found = measured(tmp_path, model, f"tallyqa:{root}")["reasoning"]
    # Three are said where two are annotated, and what is not simple may count some of them.
    assert found.filter(test="clean")["image_id"].to_list() == [1]
    assert {"anchor", "distractor", "one counted"} <= set(found.filter(test="ablate")["place"])
    assert found.filter(place="one counted")["predicted"].null_count() == 0


@pytest.mark.parametrize("kind", ["vsr", "tallyqa", "whatsup"])
def test_benchmarks_without_objects_say_what_they_lack(kind: str, tmp_path: Path) -> None:
    root = written(kind, tmp_path / kind)
    given = root / FILES[kind] if kind == "whatsup" else root
    tiny.save(tmp_path / "model")
    with pytest.raises(DataError, match=r"none of its images has annotated objects.*instances"):
        measured(tmp_path, tmp_path / "model", f"{kind}:{given}")


def test_a_word_that_the_model_can_not_say_is_skipped_by_name(tmp_path: Path) -> None:
    """GQA's own files: the question is about the dog, and the tokenizer has no word "brown"."""
    root = written("gqa", tmp_path / "gqa")
    tiny.save(tmp_path / "model")
    with pytest.raises(RunError, match="none of 1 objects: The tokenizer can't spell 'brown'"):
        measured(tmp_path, tmp_path / "model", f"gqa:{root}")
