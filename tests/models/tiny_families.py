"""A tiny random-weight checkpoint of each family: real classes, no hub, no torchvision."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from retinoscope.models.checkpoint import Checkpoint
from tests.models.tiny_glm import glm4v, glm4v_moe, glm5_next, glm46v, glm_ocr
from tests.models.tiny_qwen import (
    qwen2_5_vl,
    qwen2_vl,
    qwen3_5,
    qwen3_5_moe,
    qwen3_vl,
    qwen3_vl_moe,
    qwen4_exp,
)
from tests.models.tiny_squares import deepseek_vl, janus, lighton_ocr
from tests.models.tiny_tiles import (
    aya_vision,
    cohere2_vision,
    idefics3,
    internvl,
    lfm2_vl,
    llava_next,
    llava_onevision,
    llava_onevision_shrunk,
    ovis2,
    perception_lm,
    smolvlm,
)
from tests.models.tiny_unplaced import (
    QUERIES,
    aria,
    blip2,
    emu3,
    fast_vlm,
    got_ocr2,
    idefics2,
    instructblip,
    mllama,
)
from tests.models.tiny_videos import gemma4, llava_next_video, minicpmv4_6, video_llava
from tests.models.tiny_views import (
    gemma3,
    gemma3_pan_and_scan,
    llava,
    llava_siglip,
    mistral3,
    paligemma,
    pixtral,
    vipllava,
)

__all__ = ["EVERY", "OTHERS", "PLACED", "QUERIES", "UNPLACED"]


def seeded(kind: Callable[..., Checkpoint]) -> Callable[..., Checkpoint]:
    """The builder with the same weights at every call: some classes draw theirs when made."""

    @wraps(kind)
    def build(**images: Any) -> Checkpoint:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return kind(**images)

    return build


PLACED: dict[str, Callable[..., Checkpoint]] = {
    kind.__name__: seeded(kind)
    for kind in (
        llava,
        llava_siglip,
        pixtral,
        vipllava,
        llava_next,
        llava_onevision,
        llava_onevision_shrunk,
        qwen2_vl,
        qwen2_5_vl,
        qwen3_vl,
        qwen3_5,
        internvl,
        aya_vision,
        idefics3,
        smolvlm,
        paligemma,
        gemma3,
        gemma3_pan_and_scan,
        mistral3,
        lfm2_vl,
        glm4v,
        glm4v_moe,
        glm46v,
        glm_ocr,
        qwen3_vl_moe,
        qwen3_5_moe,
        llava_next_video,
        video_llava,
        minicpmv4_6,
        gemma4,
        janus,
        deepseek_vl,
        lighton_ocr,
        ovis2,
        perception_lm,
        cohere2_vision,
    )
}
UNPLACED: dict[str, Callable[..., Checkpoint]] = {
    kind.__name__: seeded(kind)
    for kind in (mllama, blip2, instructblip, got_ocr2, idefics2, aria, emu3, fast_vlm)
}
OTHERS: dict[str, Callable[..., Checkpoint]] = {
    kind.__name__: seeded(kind) for kind in (qwen4_exp, glm5_next)
}
"""Models without a family, for what the engine says of them."""

EVERY = {**PLACED, **UNPLACED, **OTHERS}
