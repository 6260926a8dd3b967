"""Time steps of every stage at full size: `python -m recipes.timing --work DIR`.

It needs the work folder of a short `recipes.device`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from recipes.embedded.loading import DevicePool, DeviceRows
from recipes.embedded.parts import seeded, text_losses, tower_losses
from recipes.embedded.render import read_text, read_words
from recipes.embedded.together import MODELS, Stream, embedded_shape, image_losses, make_whole
from recipes.embedded.together import Sizes as EmbeddedSizes
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser
from recipes.stack.run import make_runs
from recipes.variants.catalogue import VARIANTS
from recipes.variants.families import list_members, make_families, variant_shape
from recipes.variants.features import compute_features
from recipes.variants.train import REGISTERS, Sizes, family_losses, make_towers, patch_classes

Losses = Callable[[int], Tensor]


def time_steps(
    name: str, losses: Losses, optimiser: Optimiser | None, device: torch.device, steps: int
) -> None:
    """Print the seconds of the first step and the mean of some later ones."""

    def step(number: int) -> None:
        losses(number).sum().backward()
        if optimiser is not None:
            optimiser.step(0.1)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    start = time.perf_counter()
    step(0)
    step(1)
    wait()
    first = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(steps):
        step(number)
    issued = time.perf_counter() - start
    wait()
    mean = (time.perf_counter() - start) / steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    print(
        f"{name:28s} first {first:6.2f} s, then {1000 * mean:7.1f} ms "
        f"(issued {1000 * issued / steps:6.1f}), {peak:5.1f} GiB",
        flush=True,
    )


def main() -> None:
    """Time what there is time for, compiled last."""
    given = _arguments()
    start = time.perf_counter()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    words = read_words(given.work)
    pool = DevicePool(given.work / "train", given.capacity, device)
    pool.refresh(given.capacity)
    pool.close()
    text = DeviceRows(device)
    text.add(read_text(given.work, "raster", given.texts))
    shape = variant_shape(len(words.vocabulary))
    seeds = [seed for _ in range(4) for seed in range(given.seeds)]
    decoder = Decoder(shape, seeds).to(device)
    sizes = Sizes(given.text_rows, given.tower_images, given.images)
    towers = make_towers(shape, variant_shape(len(words.vocabulary), REGISTERS), device)
    plain = make_runs(device)
    features = compute_features(towers, pool, plain)
    families = make_families(shape, list_members(list(VARIANTS), given.seeds), device)
    names = patch_classes(words, device)
    whole = make_whole(embedded_shape(len(words.vocabulary)), len(MODELS), device)
    own = EmbeddedSizes(given.tower_images, 64, given.embedded_images, given.words)
    print(f"ready after {time.perf_counter() - start:.1f} s", flush=True)
    for compiled in (False, True) if given.compile else (False,):
        if time.perf_counter() - start > given.seconds:
            break
        runs = make_runs(device, compiled)
        what = "compiled" if compiled else "plain"
        stream = Stream(pool, own.images, runs)

        def on_text(step: int, runs=runs) -> Tensor:
            batch = text.take(
                torch.randint(
                    len(text),
                    (len(seeds), sizes.text),
                    generator=seeded(device, step),
                    device=device,
                )
            )
            losses = text_losses(decoder, batch, runs)
            return losses["answers"] + losses["contexts"]

        def together(step: int, runs=runs, stream=stream) -> Tensor:
            losses = image_losses(whole, stream, text, own.words, step, runs)
            return torch.stack([value.sum() for value in losses.values()])

        stages: dict[str, tuple[Losses, Optimiser | None]] = {
            "together": (together, Optimiser([Group(m, 1e-4) for m in vars(whole).values()])),
            "text": (on_text, Optimiser([Group(decoder, 1e-4)])),
        }
        for kind, family in families.items():
            if kind != "patches":
                continue

            def on_images(step: int, family=family, runs=runs) -> Tensor:
                losses = family_losses(family, pool, features, names, sizes, step, runs)
                return torch.stack([value.sum() for value in losses.values()])

            modules = (family.decoder, family.connector)
            stages[f"images {kind}"] = (on_images, Optimiser([Group(m, 1e-4) for m in modules]))
        if not compiled:

            def on_towers(step: int, runs=runs) -> Tensor:
                rng = seeded(device, step)
                return tower_losses(towers.plain, towers.plain_heads, pool, sizes.tower, rng, runs)

            modules = (towers.plain, towers.plain_heads)
            stages["one tower"] = (on_towers, Optimiser([Group(m, 1e-4) for m in modules]))
        for name, (losses, optimiser) in stages.items():
            if time.perf_counter() - start < given.seconds:
                time_steps(f"{name} {what}", losses, optimiser, device, given.steps)
    print(f"timed in {time.perf_counter() - start:.1f} s", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.timing", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0, help="no stage begins after so long")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--capacity", type=int, default=2000)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--text-rows", type=int, default=24)
    parser.add_argument("--tower-images", type=int, default=128)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--embedded-images", type=int, default=80)
    parser.add_argument("--words", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
