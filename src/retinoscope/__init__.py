"""Retinoscope: look inside the eye of a vision-language model."""
