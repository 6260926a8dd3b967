"""Draw the packaged sprite atlases from the icon sets on npm.

`npm pack` fetches each pinned set (an archive of SVG bodies), resvg draws the icons of our
classes at 112 px, and every set becomes one lossless WebP atlas with a JSON index.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from retinoscope.data.scenes.classes import CLASSES

SIZE = 112
VERSIONS = {
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "fxemoji": "1.2.2",
    "fluent-emoji-flat": "1.2.6",
    "fluent-emoji": "1.2.7",
    "emojione": "1.2.3",
    "twemoji": "1.2.5",
}
# Names that fxemoji spells in its own way: ours -> its.
FXEMOJI = {
    "dog-face": "dog",
    "dog": "dogside",
    "cat-face": "cat",
    "cat": "catside",
    "rabbit-face": "bunny",
    "rabbit": "bunnyside",
    "pizza": "sliceofpizza",
    "evergreen-tree": "evergreen",
    "mantelpiece-clock": "manltepiececlock",
    "umbrella-with-rain-drops": "umbrellawithraindrops",
    "house": "housebuilding",
}


def fetch(name: str, folder: Path) -> Path:
    """Fetch one icon set with `npm pack` unless it is there, and return its icons.json."""
    target = folder / f"{name}-{VERSIONS[name]}"
    icons = target / "package" / "icons.json"
    if not icons.exists():
        target.mkdir(parents=True, exist_ok=True)
        package = f"@iconify-json/{name}@{VERSIONS[name]}"
        subprocess.run(["npm", "pack", package], cwd=target, check=True, capture_output=True)
        with tarfile.open(next(target.glob("*.tgz"))) as archive:
            archive.extractall(target, filter="data")
    return icons


def find_icon(name: str, icon: str, table: dict) -> dict | None:
    """Return the icon's entry under its own name, a plain alias, or fxemoji's spelling."""
    icons, aliases = table["icons"], table.get("aliases", {})
    if name == "fxemoji":
        return icons.get(FXEMOJI.get(icon, icon.replace("-", "")))
    alias = aliases.get(icon, {})
    if icon not in icons and set(alias) <= {"parent"}:
        icon = alias.get("parent", icon)
    return icons.get(icon)


def draw(entry: dict, table: dict) -> Image.Image:
    """Draw one icon and crop it to its visible part, at most 112 px long."""
    width = entry.get("width", table.get("width", 16))
    height = entry.get("height", table.get("height", 16))
    left, top = entry.get("left", 0), entry.get("top", 0)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="160" height="160">{entry["body"]}</svg>'
    )
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    image = image.crop(Image.fromarray(np.asarray(image)[..., 3] > 20).getbbox())
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    return image


def draw_set(name: str, folder: Path, target: Path) -> int:
    """Draw one set's atlas and index into the target folder; return the number of sprites."""
    table = json.loads(fetch(name, folder).read_text("utf-8"))
    sprites = []
    for label, scene_class in CLASSES.items():
        for icon in scene_class.icons:
            entry = find_icon(name, icon, table)
            if entry is not None:
                sprites.append((label, draw(entry, table)))
    columns = 10
    rows = -(-len(sprites) // columns)
    atlas = Image.new("RGBA", (columns * SIZE, rows * SIZE))
    index: dict[str, list[list[int]]] = {}
    for i, (label, sprite) in enumerate(sprites):
        x, y = i % columns * SIZE, i // columns * SIZE
        atlas.paste(sprite, (x, y))
        index.setdefault(label, []).append([x, y, *sprite.size])
    pixels = np.array(atlas)
    pixels[pixels[..., 3] == 0] = 0
    Image.fromarray(pixels).save(target / f"{name}.webp", lossless=True, quality=100, method=6)
    (target / f"{name}.json").write_text(json.dumps(index) + "\n", "utf-8")
    return len(sprites)


def draw_all(folder: Path, target: Path) -> None:
    """Draw every set; `folder` keeps the fetched archives, `target` the atlases."""
    target.mkdir(parents=True, exist_ok=True)
    for name in VERSIONS:
        print(f"{name}: {draw_set(name, folder, target)} sprites", flush=True)
