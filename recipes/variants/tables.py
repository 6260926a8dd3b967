"""Records as Parquet: `python -m recipes.variants.tables RESULTS` packs what a run measured."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import polars as pl

from recipes.variants.records import Record, read

FOLDER = Path(__file__).parent / "records"
FILES = ("variants", "embedded")
"""The variants' records, and those of the reference and the pointed model."""

_TYPES = {"int": pl.Int32, "float": pl.Float32, "str": pl.String}


def to_table(records: list[Record]) -> pl.DataFrame:
    """One row a record; columns are named as in `Record`."""
    schema = {field.name: _TYPES[str(field.type)] for field in fields(Record)}
    return pl.DataFrame([vars(record) for record in records], schema=schema)


def read_table(name: str, folder: Path = FOLDER) -> pl.DataFrame:
    """Read the records of one of `FILES`."""
    return pl.read_parquet(folder / f"{name}.parquet")


def main() -> None:
    """Pack a run's records into the repository's folder."""
    parser = argparse.ArgumentParser(prog="python -m recipes.variants.tables", description=__doc__)
    parser.add_argument("results", type=Path, help="holds variants.jsonl.gz, embedded.jsonl.gz")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        if not (given.results / f"{name}.jsonl.gz").is_file():
            print(f"{name}: no new records")
            continue
        table = to_table(read(given.results / f"{name}.jsonl.gz"))
        table.write_parquet(FOLDER / f"{name}.parquet", compression="zstd", compression_level=19)
        print(f"{name}: {len(table)} records")


if __name__ == "__main__":
    main()
