"""Variants of the embedded model that differ in one choice each: `python -m recipes.variants`."""
