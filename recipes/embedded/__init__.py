"""The recipe of the embedded model: `python -m recipes.embedded`."""
