"""What `retinoscope look` prints of an object whose place is not given: why yes, or why no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retinoscope.cli.printing import print_json
from retinoscope.report.wording import percent

if TYPE_CHECKING:
    from retinoscope.api import PollExplanation


def told(found: PollExplanation, image: Path) -> Mapping[str, Any]:
    """An explanation as JSON holds it."""
    return {
        "image": image,
        "name": found.name,
        "answer": found.answer,
        "log_odds": found.log_odds,
        "present": found.present,
        "setup": found.setup,
        "findings": [asdict(one) for one in found.findings],
        "compared": found.compared.to_dicts(),
    }


def print_explanation(found: PollExplanation, image: Path, *, as_json: bool) -> None:
    """Print an explanation: the answer, the findings in their order, the comparison."""
    if as_json:
        print_json(told(found, image))
        return
    plain = Console(soft_wrap=True, highlight=False, markup=False)
    plain.print(f"{found.question} {found.answer} (log-odds of yes {found.log_odds:+.2f} nats)\n")
    for rank, one in enumerate(found.findings, 1):
        value = f"{one.value:+.2f}" if one.unit == "nats" else percent(one.value, 0)
        plain.print(Text.assemble(f"{rank:2} ", (f"{value:>6}", "bold"), f"  {one.what}"))
        plain.print(f"           {one.code}", style="dim")
    plain.print(
        "\nIn nats: the change of the log-odds of yes. In per cent: a share of what was decoded. "
        "The lines\nof Python repeat the numbers behind these:\n"
    )
    plain.print(f"import retinoscope as rs\n{found.setup}\n", style="dim")
    plain.print(_comparison(found))
    if not found.present:
        plain.print("The model named no other object by itself; compare with one by --beside NAME.")


def _comparison(found: PollExplanation) -> Table:
    names = [found.name, *([f"{found.present} (present)"] if found.present else [])]
    table = Table("", *names)
    for measure, *values in found.compared.iter_rows():
        table.add_row(measure, *(_written(measure, value) for value in values))
    return table


def _written(measure: str, value: float) -> str:
    """A number of the comparison: patches are counted, shares in per cent, the rest in nats."""
    if measure.startswith("patches"):
        return f"{value:.0f}"
    shares = measure.startswith(("share", "highest lens probability"))
    return percent(value, 0) if shares else f"{value:+.2f} nats"
