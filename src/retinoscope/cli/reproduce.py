"""`retinoscope reproduce`: the three experiments, one command, one report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from retinoscope.cli.interruption import resumable
from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, MeanFile, Revision
from retinoscope.cli.own_settings import own_settings, settable
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars
from retinoscope.data import sources
from retinoscope.results.experiment import chosen, default_experiments
from retinoscope.results.experiment import experiments as known
from retinoscope.results.protocol import parse_protocol
from retinoscope.shipped import is_shipped
from retinoscope.worker import PROCESSES

if TYPE_CHECKING:
    from retinoscope.runs import Plan

MANY = 30
"""Objects from which on workers are taken: with 6 their start costs more than they spare, with 102
less (benchmarks/README.md)."""


def _offered() -> str:
    """Every experiment with its question, for --help."""
    every = "; ".join(f"`{name}`: {one.question}" for name, one in known().items())
    return f"Which, separated by commas, or `all`. {every}"


def reproduce(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="`embedded` (default), a folder in Hugging Face format, or a hub name. Given "
            "several times, each is measured and the runs are compared on one page."
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(f'`{one.usage}`' for one in sources().values())} (docs/data.md)."
        ),
    ] = "embedded",
    questions: Annotated[
        Path | None, typer.Option(help="A JSON of image id to questions, for COCO.")
    ] = None,
    mean_images: Annotated[
        str | None,
        typer.Option(help="A folder (or data) whose images give the mean visual token."),
    ] = None,
    mean_count: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most images of the mean; default all of --mean-images, 400 without."
        ),
    ] = None,
    mean_per_position: Annotated[
        bool, typer.Option("--mean-per-position", help="A mean of each position of the grid.")
    ] = False,
    mean_file: MeanFile = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Objects to measure; default 102 of embedded scenes, else all."),
    ] = None,
    min_area: Annotated[
        float | None, typer.Option(min=0, help="Objects larger than this, in pixels.")
    ] = None,
    max_area: Annotated[
        float | None, typer.Option(min=0, help="Objects smaller than this, in pixels.")
    ] = None,
    max_annotations: Annotated[
        int | None, typer.Option(min=1, help="Images with at most so many annotations.")
    ] = None,
    curated: Annotated[
        bool,
        typer.Option(
            "--curation/--no-curation",
            help="Measure only objects that the model names when it sees them.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
    experiments: Annotated[str, typer.Option(help=_offered())] = ",".join(default_experiments()),
    protocol: Annotated[
        str,
        typer.Option(
            help="`corrected` (default), or `paper`: repeat the choices of the original code that "
            "shape its numbers. Single switches follow: `paper,-prefix_match` or "
            "`corrected,+whole_pixel_pitch`."
        ),
    ] = "corrected",
    changed: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME.FIELD=VALUE", help=settable())
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most tokens of a description, which ends where it names the object; default 200 "
            "as in the original code, 30 of the embedded model but under the paper's protocol.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that measure, for a model on the CPU; default one for each core (at "
            "most 4) for the embedded model and 30 objects or more, else 1.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            help="`ray`: actors on this machine, one for each GPU or core; `ray:ADDRESS`: on a "
            "running cluster (docs/scale.md). Needs the extra `ray`."
        ),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Where workers that share no disk keep what they measure: `s3://bucket/run`, or "
            "any address of fsspec; default the run folder."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run folder; a run that was interrupted there resumes. Of several models the "
            "folder that holds a run of each."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="The split of a COCO folder.")] = None,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print the tables as well, and what was counted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the paper's three experiments and write a report.

    Without options: the embedded model on the embedded scenes, a few minutes on two cores.

    With `--protocol paper` the original code's mistakes are repeated, for comparison: run both,
    then `retinoscope report RUN --beside OTHER` sets them side by side.

    Ctrl-C keeps what was measured; the same command with the same `--out` resumes.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.experiments import settings_for
    from retinoscope.models.place import CPU, place
    from retinoscope.runs import Plan

    bounds = {"min_area": min_area, "max_area": max_area, "max_annotations": max_annotations}
    given: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}

    def planned(one: str, folder: Path) -> Plan:
        """What is to be done with one of the models."""
        settings = replace(settings_for(one, parse_protocol(protocol)), seed=seed)
        if max_new_tokens is not None:
            settings = replace(settings, max_new_tokens=max_new_tokens)
        plan = Plan(
            out=folder,
            model=one,
            revision=revision,
            dtype=dtype,
            device=device,
            device_map=device_map,
            data=data,
            split=split,
            questions=questions,
            mean_images=mean_images,
            mean_count=mean_count,
            mean_per_position=mean_per_position,
            mean_file=mean_file,
            curated=curated,
            limit=limit,
            experiments=chosen(experiments),
            settings=settings,
            own=own_settings(changed or (), one, settings.protocol),
            workers=workers or (1 if on is None else None),
            on=on,
            parts=parts,
            command=shlex.join(["retinoscope", *sys.argv[1:]]),
        )
        if workers is None and on is None and is_shipped(one) and place(device, device_map) == CPU:
            plan = replace(plan, workers=_workers(plan.wanted))
        return replace(plan, chosen=replace(plan.filter, **given)) if given else plan

    models = list(dict.fromkeys(model or ["embedded"]))
    base, folders = _folders(models, out)
    # All before the first is measured: what is wrong with a plan is told at once.
    plans = [planned(one, folder) for one, folder in zip(models, folders, strict=True)]
    _carry_out(plans, base, as_json=as_json, verbose=verbose)


def _folders(models: Sequence[str], out: Path | None) -> tuple[Path, list[Path]]:
    """Where the outcome is to be, and the run folder of each model."""
    now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if len(models) == 1:
        base = out or Path("runs") / f"{Path(models[0]).name}-{now}"
        return base, [base]
    base = out or Path("runs") / f"models-{now}"
    # By their last names, or by their whole ones where these are alike.
    names = [Path(one).name for one in models]
    if len({*names}) < len(names):
        names = [one.strip("./").replace("/", "-") for one in models]
    return base, [base / name for name in names]


def _carry_out(plans: Sequence[Plan], base: Path, *, as_json: bool, verbose: bool) -> None:
    """Measure one plan after the other, print what came out, and compare several."""
    from retinoscope.report.compare import compare
    from retinoscope.report.render import draw
    from retinoscope.report.summary import summary
    from retinoscope.report.tables.collect import collect
    from retinoscope.results import read
    from retinoscope.runs import run

    console, told = Console(), []
    for plan in plans:
        if not as_json:
            console.print(
                f"Run folder: {plan.out}  (after Ctrl-C resume with --out {base})", markup=False
            )
        kept = f"What was measured is kept; resume with --out {shlex.quote(str(base))}."
        with resumable(kept), Bars(Console(stderr=True)) as bars:
            run(plan, bars)
        if as_json:
            results = read(plan.out)
            tables = collect(results)
            drawn = draw(results, tables, workers=PROCESSES)
            told.append({"report": drawn.resolve(), **summary(results, tables)})
        else:
            _print_run(plan.out, console, verbose=verbose)
    page = compare([plan.out for plan in plans], base) if len(plans) > 1 else None
    if as_json:
        print_json(told[0] if page is None else {"comparison": page.resolve(), "runs": told})
    elif page is not None:
        console.print(f"Comparison: {page.resolve()}", soft_wrap=True, markup=False)


def _print_run(out: Path, console: Console, *, verbose: bool) -> None:
    """The verdicts, how much was skipped, and where the page is; all tables before, if asked."""
    from retinoscope.report.render import draw
    from retinoscope.report.tables.collect import collect
    from retinoscope.report.terminal import print_report, print_verdicts
    from retinoscope.results import read

    results = read(out)
    tables = collect(results)
    if verbose:
        print_report(results, tables, console)
        for what, number in results.manifest.counts.items():
            console.print(f"{what}: {number:,}", markup=False, highlight=False)
    else:
        print_verdicts(results, tables, console)
        if skips := sum(results.manifest.skipped.values()):
            console.print(f"Skipped: {skips:,}, with reasons in the report.", highlight=False)
    page = draw(results, tables, workers=PROCESSES)
    console.print(f"\nReport: {page.resolve()}", soft_wrap=True, markup=False, highlight=False)


def _workers(objects: int | None) -> int:
    """As many as there are cores for; 1 where few objects wait."""
    return 1 if objects is not None and objects < MANY else PROCESSES
