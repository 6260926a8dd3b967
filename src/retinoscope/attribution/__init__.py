"""Which visual tokens an answer rests on, read from one recorded run."""

from retinoscope.attribution.gradients import Attribution, integrated_gradients
from retinoscope.attribution.rollout import attention_rollout

__all__ = ["Attribution", "attention_rollout", "integrated_gradients"]
