"""SmolLM2-135M behind our vision tower: a projector alone first, then LoRA as well."""
