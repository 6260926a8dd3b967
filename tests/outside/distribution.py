"""A small distribution as somebody else installs it: an experiment, a task, data, a family."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

FILES = {
    "glow/__init__.py": "",
    "glow/brightness/__init__.py": """
        from glow.brightness.records import BrightnessRecord
        from glow.brightness.settings import BrightnessSettings
        from retinoscope.experiments import Experiment

        EXPERIMENT = Experiment(
            name="brightness",
            question="How bright is the object?",
            records={"brightness": BrightnessRecord},
            measure="glow.brightness.measure:measure",
            report="glow.brightness.report:REPORT",
            settings=BrightnessSettings,
        )
        """,
    "glow/brightness/settings.py": """
        from dataclasses import dataclass

        from retinoscope.experiments import OwnSettings
        from retinoscope.results.ranges import check_number


        @dataclass(frozen=True)
        class BrightnessSettings(OwnSettings):
            white: float = 255.0

            def __post_init__(self):
                check_number("white", self.white, lambda level: level > 0, "above 0")
        """,
    "glow/brightness/records.py": """
        from dataclasses import dataclass


        @dataclass(frozen=True)
        class BrightnessRecord:
            image_id: int
            object_id: int
            region: str
            value: float
        """,
    "glow/brightness/measure.py": """
        import os
        from pathlib import Path

        import numpy as np
        from glow.brightness.records import BrightnessRecord

        from retinoscope.engine import look
        from retinoscope.results.records import SkippedRecord


        def measure(bench, target):
            log = Path(os.environ["GLOW_LOG"])
            if len(log.read_text().splitlines()) == int(os.environ.get("GLOW_DIE", "-1")):
                os._exit(9)
            with log.open("a") as stream:
                stream.write(f"{target.annotation.object_id}\\n")
            recording = look(bench.checkpoint, target.image, "Describe this image.")
            assert recording.layer_count > 0
            pixels = np.array(target.image).mean(-1) / bench.own.white
            key = (target.sample.image_id, target.annotation.object_id)
            yield BrightnessRecord(*key, "object", float(pixels[target.mask].mean()))
            yield BrightnessRecord(*key, "rest", float(pixels[~target.mask].mean()))
            yield SkippedRecord("brightness", *key, "shadow", "nothing here casts one")
        """,
    "glow/brightness/report.py": """
        import polars as pl
        from matplotlib.figure import Figure

        from retinoscope.report.grids import plain_grid
        from retinoscope.report.parts import Report, Section, Sketch
        from retinoscope.report.tables.headline import headline_frame, headline_row
        from retinoscope.report.verdict import HELD, NOT_HELD, Check, Verdict


        def tables(results, protocol):
            found = results["brightness"].group_by("region").agg(
                objects=pl.len(), value=pl.col("value").mean()
            )
            return {"brightness_by_region": found.sort("region")}


        def section(tables):
            grid = plain_grid(
                "Brightness", tables["brightness_by_region"], ("region", "objects", "mean")
            )
            title = "Brightness: how bright is it?"
            return Section(title, "Of all pixels.", (grid,), brief=(grid,))


        def sketches(tables):
            return (Sketch("brightness-bars", "Mean brightness.", lambda: draw(tables)),)


        def draw(tables):
            table = tables["brightness_by_region"]
            figure = Figure(layout="constrained")
            figure.subplots().bar(table["region"].to_list(), table["value"].to_list())
            return figure


        def verdicts(results, tables, protocol):
            below = bool((tables["brightness_by_region"]["value"] < 1).all())
            check = Check("no region is white", "means below 1", below)
            outcome = HELD if below else NOT_HELD
            return (Verdict("Light", "Nothing glows.", "Held if met.", outcome, (check,)),)


        def headline(results, protocol):
            rows = tables(results, protocol)["brightness_by_region"].iter_rows(named=True)
            named = [
                headline_row("brightness", "all", "value", row["region"], row, "value")
                for row in rows
            ]
            return headline_frame(named)


        carried = ("brightness_by_region",)
        REPORT = Report(tables, section, sketches, verdicts, headline, carrying=carried)
        """,
    "glow/data.py": """
        from pathlib import Path

        from retinoscope.data import Filter, Source, open_data

        SOURCE = Source(
            name="glowing",
            usage="glowing:PATH",
            what="pictures that glow",
            read=lambda rest, choices: open_data(f"coco:{rest}"),
            filter=Filter(min_area=0, max_area=None, max_annotations=None),
            limit=3,
            mean=lambda rest, count, choices: open_data(f"coco:{rest}"),
        )
        """,
    "glow/model.py": """
        import transformers as hf


        class GlowConfig(hf.LlavaConfig):
            model_type = "glow_llava"


        class GlowForConditionalGeneration(hf.LlavaForConditionalGeneration):
            config_class = GlowConfig


        hf.AutoConfig.register("glow_llava", GlowConfig)
        hf.AutoModelForImageTextToText.register(GlowConfig, GlowForConditionalGeneration)
        """,
    "glow/family.py": """
        from dataclasses import replace

        import glow.model  # what transformers must know
        from retinoscope.models.families.llava import FAMILY as LLAVA

        FAMILY = replace(
            LLAVA,
            name="Glow",
            model_types=("glow_llava",),
            prompt="What is there : {image} {question} ?",
        )
        """,
    "glow/task.py": """
        from retinoscope.tasks import Query, Task, Unasked, piece_tokens


        def queries(asked, tokenizer, *, always_a):
            if asked.class_name == "car":
                return (Unasked("name", "cars have no names"),)
            right = piece_tokens(tokenizer, [asked.class_name])
            return (Query("name", asked.class_name, "What is in this image ?", right=right),)


        TASK = Task("name", queries)
        """,
    "glow-1.0.dist-info/METADATA": """
        Metadata-Version: 2.1
        Name: glow
        Version: 1.0
        """,
    "glow-1.0.dist-info/entry_points.txt": """
        [retinoscope.experiments]
        brightness = glow.brightness:EXPERIMENT

        [retinoscope.tasks]
        name = glow.task:TASK

        [retinoscope.data]
        glowing = glow.data:SOURCE

        [retinoscope.families]
        glow = glow.family:FAMILY
        """,
}


def write(root: Path) -> Path:
    """Install the distribution into a folder for sys.path."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
    return root
