"""Conditions outside Retinoscope: on your own model, or in TransformerLens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor, nn

from retinoscope.api.attributing import Attributable
from retinoscope.engine.outside import Hook, on_model, transformer_lens_hooks
from retinoscope.interventions import Intervention, together


@dataclass(frozen=True, eq=False)
class Exportable(Attributable):
    """What takes a condition out of Retinoscope."""

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """What the processor makes of the prompt: `model(**view.inputs)` is the clean run."""
        return self.recording.encoded.inputs

    def hooks(
        self, *interventions: Intervention | Sequence[Intervention]
    ) -> AbstractContextManager[nn.Module]:
        """Put interventions on the model itself, for whoever calls it inside the `with` block.

            with view.hooks(rs.Ablate(tokens)) as model:
                model.generate(**view.inputs, max_new_tokens=20)

        They are forward hooks and a mask in the attention function, so that plain calls,
        `generate` with or without a cache, a trace of nnsight and any other tool that holds the
        same modules see them. Knockouts from the last position go on for generated ones. Afterwards
        the model is as it was. Inside the block, views of this model can't be asked for new runs.

        Args:
            interventions: in force together.

        Yields:
            The Hugging Face model, `view.recording.checkpoint.model`.

        Raises:
            InterventionError: they can't be applied here; or, inside the block, the model is run on
                another prompt, on a part of this one, or not at all.
            ModelError: interventions are in force on this model already.
        """
        return on_model(self.recording, together(interventions))

    def to_transformer_lens(
        self, *interventions: Intervention | Sequence[Intervention]
    ) -> list[tuple[str, Hook]]:
        """Interventions as pairs of hook name and function for `fwd_hooks` of TransformerLens.

        For a bridge or a HookedTransformer of the same model on the same prompt, whole (without a
        cache of keys and values): `bridge.run_with_hooks(**given,
        fwd_hooks=view.to_transformer_lens(rs.Knockout(view.last, tokens)))`. Knockouts are put
        into `hook_attn_scores`.

        Raises:
            InterventionError: they can't be applied here, or TransformerLens has no hook for them:
                a `PathPatch`, or a site such as `embeddings`, `resid_mid` or `lm_head`.
        """
        return transformer_lens_hooks(self.recording, together(interventions))
