"""What an answer rests on, read from one recorded run: visual tokens, sublayers and heads."""

from retinoscope.attribution.alti import alti
from retinoscope.attribution.by_head import HeadAttention, head_attention, mean_attention
from retinoscope.attribution.effects import ablation_effects
from retinoscope.attribution.gradient_scores import (
    attribution_patching,
    chefer_relevance,
    gradient_x_input,
)
from retinoscope.attribution.gradients import Attribution, integrated_gradients
from retinoscope.attribution.logits import LogitAttribution, logit_attribution
from retinoscope.attribution.raw import attention_by_layer, raw_attention
from retinoscope.attribution.rollout import attention_rollout, attention_sinks
from retinoscope.attribution.zeroing import value_zeroing

__all__ = [
    "Attribution",
    "HeadAttention",
    "LogitAttribution",
    "ablation_effects",
    "alti",
    "attention_by_layer",
    "attention_rollout",
    "attention_sinks",
    "attribution_patching",
    "chefer_relevance",
    "gradient_x_input",
    "head_attention",
    "integrated_gradients",
    "logit_attribution",
    "mean_attention",
    "raw_attention",
    "value_zeroing",
]
