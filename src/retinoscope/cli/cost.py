"""`retinoscope cost`: what a run will take, before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from retinoscope.cli.options import AsJson, Dtype, Revision
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars
from retinoscope.data import open_data, select, sources
from retinoscope.results.experiment import chosen, default_experiments

if TYPE_CHECKING:
    from retinoscope.runs.cost import Cost, Job

MEAN_IMAGES = 400
"""Images of the mean visual token where none are named, as in `reproduce`."""


def cost(
    model: Annotated[
        str,
        typer.Option(
            help="`embedded`, a folder with a config.json, or a hub name, of which that file "
            "alone is fetched. No weights are loaded."
        ),
    ] = "embedded",
    data: Annotated[
        str, typer.Option(help=f"{', '.join(f'`{one.usage}`' for one in sources().values())}.")
    ] = "embedded",
    split: Annotated[str | None, typer.Option(help="The split of a COCO folder.")] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Count on so many objects that fit the filter, in photographs of COCO's size, "
            "without looking at data.",
        ),
    ] = None,
    kept: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1,
            show_default="a third",
            help="Share of them that curation keeps; the default is a guess.",
        ),
    ] = 1 / 3,
    limit: Annotated[int | None, typer.Option(min=1, help="Objects to measure.")] = None,
    mean_count: Annotated[
        int, typer.Option(min=0, help="Images of the mean visual token; 0 where it is known.")
    ] = MEAN_IMAGES,
    experiments: Annotated[
        str, typer.Option(help="Which, separated by commas, or `all`.")
    ] = ",".join(default_experiments()),
    curated: Annotated[
        bool, typer.Option("--curation/--no-curation", help="As in `reproduce`.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes, on this machine.")] = 1,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="A GPU (`H100`) or several (`8xH100`), by assumed rates; may be given again. "
            "Without it this machine's processor, which is measured for some seconds."
        ),
    ] = None,
    revision: Revision = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Tell the memory, disk and hours that `reproduce` will take, without loading any weights.

    The work of each experiment was counted on the embedded model, in floating-point operations and
    passes over the layers; here it is scaled to the model's configuration and divided by what the
    machine does in a second. docs/scale.md compares what was told with what runs took.

    Try `retinoscope cost`, or `retinoscope cost --model llava-hf/llava-1.5-7b-hf --candidates 13000
    --mean-count 50000 --on H100 --on 8xH100`.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.experiments import settings_for
    from retinoscope.runs import Plan, Scenes
    from retinoscope.runs.cost import cost as told
    from retinoscope.runs.cost import machine_named, shape_of, this_machine
    from retinoscope.runs.cost.job import job_of, sized
    from retinoscope.runs.cost.shape import config_of

    machines = [machine_named(one) for one in on or ()]
    plan = Plan(
        out=Path("runs"),
        model=model,
        data=data,
        split=split,
        limit=limit,
        curated=curated,
        experiments=chosen(experiments),
        settings=settings_for(model),
    )
    config = config_of(model, revision)
    shape = shape_of(model, config, dtype)
    if candidates is None:
        with Bars(Console(stderr=True)) as bars:
            dataset = open_data(data, split=split, composing=Scenes(bars))
        fitting = select(dataset, plan.filter).candidates
        job = job_of(plan, fitting, mean_count, kept)
    else:
        job = sized(plan, candidates, mean_count, kept, limit)
    found = [told(job, shape, one) for one in machines or [this_machine(config, shape, workers)]]
    if as_json:
        print_json({"model": model, "shape": shape, "job": job, "costs": found})
    else:
        _print(job, found)


def _print(job: Job, found: Sequence[Cost]) -> None:
    from retinoscope.runs.cost.estimate import lasting

    console = Console()
    console.print(
        f"{job.objects:,} objects, of {job.looked_at or job.objects:,} looked at; the mean visual "
        f"token over {job.mean_images:,} images"
    )
    table = Table("stage", "units", *(one.machine.name for one in found))
    for stages in zip(*(one.stages for one in found), strict=True):
        times = (f"{lasting(one.seconds)} each" for one in stages)
        table.add_row(stages[0].name, f"{stages[0].units:,}", *times)
    table.add_section()
    rows = {
        "in all": [lasting(one.seconds) for one in found],
        "devices at work": [f"{one.busy:.0%}" if one.machine.devices > 1 else "" for one in found],
        "what limits it": [one.limits if one.machine.devices > 1 else "" for one in found],
        "weights": [_gigabytes(one.weights) for one in found],
        "beside them": [_gigabytes(one.activations) for one in found],
        "fits": ["yes" if one.fits else "no: share it out with --device-map auto" for one in found],
        "run folder": [_gigabytes(one.disk) for one in found],
        "storage traffic": [_gigabytes(one.traffic) for one in found],
    }
    for name, values in rows.items():
        if any(values):
            table.add_row(name, "", *values)
    console.print(table)
    if found[0].uncounted:
        console.print(f"Not counted, so in none of this: {', '.join(found[0].uncounted)}.")
    if not all(one.machine.measured for one in found):
        console.print("Rates of GPUs are assumptions: nobody has measured a run on them.")


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.2g} GB" if size < 1e10 else f"{size / 1e9:,.0f} GB"
