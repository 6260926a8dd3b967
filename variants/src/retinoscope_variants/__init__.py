"""Weights of Retinoscope's variants; `retinoscope.load("embedded/NAME")` finds them here."""
