"""The study of what drives the refinement, from the records alone.

`python -m recipes.variants.study` writes `docs/refinement.md` and its figures.
"""
