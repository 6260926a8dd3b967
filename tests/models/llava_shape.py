"""A LLaVA of any size with random bf16 weights, written shard by shard; and a look into it.

Run as a program with a folder (and perhaps a type of weights), it loads the model, runs one
ablation, one sweep of knockouts and one lens, and prints what each took as a line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>")
SHARD = 2**30
POOL = 2**24


@dataclass(frozen=True)
class Shape:
    """The numbers that make a LLaVA large or small."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    side: int


LLAVA_7B = Shape(32064, 4096, 11008, 32, 32, 1024, 24, 16, 336)
"""LLaVA-1.5-7B: Vicuna-7B behind CLIP ViT-L/14 at 336 pixels."""

SMALL = Shape(2048, 1024, 2816, 6, 8, 64, 2, 4, 56)
"""Some 160 MB, enough to tell the weights from everything else."""


def write(folder: Path, shape: Shape) -> int:
    """Write the model in the hub's format; never more than one shard is in memory.

    Returns:
        Bytes of weights.
    """
    config = config_of(shape)
    config.save_pretrained(folder)
    _processor(shape).save_pretrained(folder)
    with torch.device("meta"):
        names = {n: t.shape for n, t in LlavaForConditionalGeneration(config).state_dict().items()}
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0)).bfloat16()
    places: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    total = held = 0
    for number, (name, size) in enumerate(names.items()):
        shard[name] = _values(name, size, pool, number)
        held += shard[name].nbytes
        if held > SHARD or number == len(names) - 1:
            file = f"model-{number:05d}.safetensors"
            save_file(shard, folder / file, metadata={"format": "pt"})
            places |= dict.fromkeys(shard, file)
            total, held, shard = total + held, 0, {}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def _values(name: str, size: torch.Size, pool: torch.Tensor, number: int) -> torch.Tensor:
    """Ones for norms, zeros for biases, else normal values from a pool, turned for each tensor."""
    if name.endswith("bias"):
        return torch.zeros(size, dtype=torch.bfloat16)
    if len(size) < 2:
        return torch.ones(size, dtype=torch.bfloat16)
    repeats = -(-size.numel() // POOL)
    values = pool.roll(number * 99_991).repeat(repeats)[: size.numel()].reshape(size)
    return (values / size[-1] ** 0.5).contiguous()


def config_of(shape: Shape) -> LlavaConfig:
    text = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    vision = CLIPVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=4 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.vision_heads,
        image_size=shape.side,
        patch_size=14,
        projection_dim=shape.vision_width,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=SPECIAL.index("<image>"),
        vision_feature_layer=-2,
        dtype="bfloat16",
        architectures=["LlavaForConditionalGeneration"],
    )


def _processor(shape: Shape) -> LlavaProcessor:
    words = [*SPECIAL, *"USER : ASSISTANT Is there a dog in this image ? Describe .".split()]
    words += [f"word{number}" for number in range(shape.vocabulary - len(words))]
    vocabulary = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
    vocabulary.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": shape.side},
        crop_size={"height": shape.side, "width": shape.side},
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def measure(folder: Path, dtype: str | None = None) -> None:
    """Load a model and look into it, a line of JSON for each step."""
    import retinoscope as rs
    from retinoscope.engine import Outcome
    from retinoscope.models.load import dtype_named
    from tests.models.memory import Peak

    # What every process of torch and transformers takes is not the model's.
    torch.matmul(*torch.randn(2, 64, 64, dtype=torch.bfloat16))
    made: dict[str, object] = {}

    def step(name: str, do: Callable[[], object]) -> None:
        with Peak() as peak:
            made[name] = do()
        told = {"step": name, "taken": peak.taken, "resident": peak.resident}
        print(json.dumps(told | {"seconds": round(peak.seconds, 1)}), flush=True)

    step("load", lambda: rs.load(folder, dtype=dtype_named(dtype)))
    vlm = made["load"]
    assert isinstance(vlm, rs.VLM)
    pixels = np.random.default_rng(0).integers(0, 256, (336, 336, 3), dtype=np.uint8)
    question = "Is there a dog in this image ?"
    step("look", lambda: vlm.look(Image.fromarray(pixels), question, max_new_tokens=0))
    view = made["look"]
    assert isinstance(view, rs.View)
    thing = view.tokens.box(100, 100, 180, 180)
    layers = range(vlm.checkpoint.layer_count)
    step("ablation", lambda: view.evaluate([(rs.Ablate(thing, "zero"),)]))
    step("knockout", lambda: view.evaluate([(rs.Knockout(view.last, thing, [n]),) for n in layers]))
    step("lens", lambda: view.lens(thing, k=5))
    clean = view.recording.logits.float()
    for name in ("ablation", "knockout"):
        outcome = made[name]
        assert isinstance(outcome, Outcome)
        moved = (outcome.logits.float() - clean).abs().amax(-1)
        print(json.dumps({"step": f"{name} moved", "least": float(moved.min())}), flush=True)
    first = next(iter(vlm.checkpoint.model.parameters()))
    print(json.dumps({"step": "dtype", "name": str(first.dtype)}), flush=True)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), *sys.argv[2:3])
