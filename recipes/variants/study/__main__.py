"""Compute the study's page and figures from the records: `python -m recipes.variants.study`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.variants.study.figures import draw_all
from recipes.variants.study.page import write_page
from recipes.variants.tables import FOLDER, read_table

DOCS = Path(__file__).parents[3] / "docs"


def main() -> None:
    """Write refinement.md and refinement-*.svg."""
    parser = argparse.ArgumentParser(prog="python -m recipes.variants.study", description=__doc__)
    parser.add_argument("--records", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    variants, embedded = (read_table(name, given.records) for name in ("variants", "embedded"))
    figures = draw_all(variants, embedded, given.out)
    write_page(variants, embedded, given.out / "refinement.md")
    print(f"wrote {given.out / 'refinement.md'} and {len(figures)} figures")


if __name__ == "__main__":
    main()
