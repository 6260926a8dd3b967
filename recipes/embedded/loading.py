"""Scenes and rows on the device, growing while chunks are still being rendered."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Generator, Tensor

from recipes.embedded.pool import CHUNK, ROWS_OF_IMAGE, THINGS, WHOLE, Chunk, read_chunk
from recipes.embedded.rows import Rows
from recipes.stack.shape import GRID, PATCH, PATCHES
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.layout import SIZE

BACKGROUND = len(NAMES)
UNSURE = -1
PATIENCE = 120.0
"""Seconds to wait for what is being rendered."""
# A patch belongs to a thing that covers this share of it, to the background below the other.
BELONGS, FREE = 0.35, 0.08


@dataclass(frozen=True)
class Batch:
    """Rows on the device; every tensor begins with the same axes.

    Attributes are those of `rows.Rows`, as integers that index.
    """

    tokens: Int[Tensor, "*n length"]
    positions: Int[Tensor, "*n length"]
    blocks: Int[Tensor, "*n length"]
    answers: Int[Tensor, "*n length"]
    kinds: Int[Tensor, "*n exchanges"]
    named: Int[Tensor, "*n exchanges"]
    sought: Int[Tensor, "*n exchanges"]
    image: Int[Tensor, "*n"]
    erased: Int[Tensor, "*n 4"]
    restyled: Int[Tensor, "*n"]

    def flat(self) -> Batch:
        """The same with all but the last axis of each row joined."""
        joined = {k: v.flatten(0, v.ndim - 2) for k, v in vars(self).items() if v.ndim > 2}
        plain = {k: v.flatten() for k, v in vars(self).items() if k in ("image", "restyled")}
        return Batch(**(vars(self) | joined | plain))


class DeviceRows:
    """Rows on the device, small as they are stored, from which batches are taken."""

    def __init__(self, device: torch.device) -> None:
        """Begin with no rows."""
        self.device = device
        self.held: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.held["tokens"]) if self.held else 0

    def add(self, rows: Rows) -> None:
        """Append rows."""
        for name, array in rows.arrays().items():
            new = torch.from_numpy(array).to(self.device)
            self.held[name] = torch.cat([self.held[name], new]) if name in self.held else new

    def take(self, which: Int[Tensor, "*n"]) -> Batch:
        """Return some rows."""
        return Batch(**{name: held[which].long() for name, held in self.held.items()})


class DevicePool:
    """The scenes that have been rendered so far, and the rows about them, on the device.

    Attributes:
        images: RGB, uint8; the first `count` are filled, likewise below.
        owners: 1 + number of the thing that each pixel shows.
        things: class, cell, number less one and colour of each thing, -1 where there is none.
        cover: share of each patch that each thing covers, in 255ths.
        rows: six for each image, in the order of `ROWS_OF_IMAGE`.
    """

    def __init__(self, folder: Path, capacity: int, device: torch.device) -> None:
        """Make room for `capacity` images and begin to read the chunks of a folder."""
        self.folder, self.capacity, self.device, self.count = folder, capacity, device, 0
        room = {"dtype": torch.uint8, "device": device}
        self.images = torch.empty(capacity, SIZE, SIZE, 3, **room)
        self.owners = torch.empty(capacity, SIZE, SIZE, **room)
        self.cover = torch.empty(capacity, THINGS, PATCHES, **room)
        self.things = torch.empty(capacity, THINGS, 4, dtype=torch.int8, device=device)
        self._rows: dict[str, Tensor] = {}
        self._read: queue.Queue[Chunk] = queue.Queue(maxsize=4)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        """Read chunks in their order as they appear."""
        for number in range(self.capacity // CHUNK):
            file = self.folder / f"{number:05d}.npz"
            while not file.exists():
                if self._closed.wait(0.2):
                    return
            chunk = read_chunk(file)
            while not self._closed.is_set():
                try:
                    self._read.put(chunk, timeout=0.5)
                    break
                except queue.Full:
                    continue

    def refresh(self, least: int = 0) -> int:
        """Take in the chunks that have been read; return the number of images.

        Args:
            least: wait until there are so many images.

        Raises:
            TimeoutError: no more came for two minutes.
        """
        last = time.monotonic()
        while self.count < self.capacity:
            try:
                chunk = self._read.get(timeout=0.2 if self.count < least else 0.0)
            except queue.Empty:
                if self.count >= least:
                    break
                if time.monotonic() - last > PATIENCE:
                    raise TimeoutError(
                        f"{self.folder} holds {self.count} images of {least}; render more, or ask "
                        "for fewer"
                    ) from None
                continue
            self._add(chunk)
            last = time.monotonic()
        return self.count

    def close(self) -> None:
        """Stop reading and let go of images; rows and what is known of patches stay."""
        self._closed.set()
        self._thread.join()

    def _add(self, chunk: Chunk) -> None:
        at = slice(self.count, self.count + len(chunk.images))
        self.images[at] = torch.from_numpy(chunk.images).to(self.device)
        self.owners[at] = torch.from_numpy(chunk.owners).to(self.device)
        self.things[at] = torch.from_numpy(chunk.things).to(self.device)
        self.cover[at] = cover_of(self.owners[at])
        first = self.count * len(ROWS_OF_IMAGE)
        for name, array in chunk.rows.arrays().items():
            if name not in self._rows:
                size = (self.capacity * len(ROWS_OF_IMAGE), *array.shape[1:])
                dtype = torch.from_numpy(array).dtype
                self._rows[name] = torch.zeros(size, dtype=dtype, device=self.device)
            value = array + self.count if name == "image" else array
            self._rows[name][first : first + len(array)] = torch.from_numpy(value).to(self.device)
        self.count += len(chunk.images)

    def take(self, which: Int[Tensor, "*n"]) -> Batch:
        """Return some rows about images."""
        return Batch(**{name: held[which].long() for name, held in self._rows.items()})

    def draw(self, shape: tuple[int, ...], erased: float, rng: Generator) -> Int[Tensor, "..."]:
        """Draw numbers of rows.

        Args:
            shape: how many.
            erased: of so many of them a thing is erased.
            rng: source of every choice, on the device.
        """
        image = torch.rand(shape, generator=rng, device=self.device) * self.count
        whole = (torch.rand(shape, generator=rng, device=self.device) * WHOLE).long()
        gone = torch.rand(shape, generator=rng, device=self.device) < erased
        return image.long() * len(ROWS_OF_IMAGE) + torch.where(gone, lost_row(whole), whole)


def lost_row(whole: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Return the row with a thing erased whose image may be recoloured if that of a whole row may.

    Args:
        whole: numbers of rows about whole images, of any image.
    """
    image, row = whole // len(ROWS_OF_IMAGE), whole % len(ROWS_OF_IMAGE)
    return image * len(ROWS_OF_IMAGE) + WHOLE + row % 2


def cover_of(owners: UInt8[Tensor, "n 192 192"]) -> UInt8[Tensor, "n things 144"]:
    """Return the share of each patch that each thing covers, in 255ths."""
    cells = owners.unflatten(2, (GRID, PATCH)).unflatten(1, (GRID, PATCH))
    shares = [(cells == i + 1).float().mean((2, 4)).flatten(1) for i in range(THINGS)]
    return (torch.stack(shares, 1) * 255).round().byte()


def patch_owner(cover: UInt8[Tensor, "n things 144"]) -> Int[Tensor, "n 144"]:
    """Return the number of the thing each patch belongs to; `THINGS` for none, -1 if unsure."""
    most, thing = cover.float().div(255).max(1)
    owner = torch.where(most >= BELONGS, thing, UNSURE)
    return torch.where(most < FREE, THINGS, owner)


@dataclass(frozen=True)
class Labels:
    """What the patches of some images belong to; `UNSURE` where there is nothing to say.

    Attributes:
        patch: class number, or `BACKGROUND`.
        cell: the thing's cell in the 3 x 3 grid, row by row.
        number: how many things of the class the image holds, less one.
        colour: number of the thing's colour word.
    """

    patch: Int[Tensor, "n 144"]
    cell: Int[Tensor, "n 144"]
    number: Int[Tensor, "n 144"]
    colour: Int[Tensor, "n 144"]


def label_patches(
    pool: DevicePool, images: Int[Tensor, " n"], restyled: Bool[Tensor, " n"]
) -> Labels:
    """Label the patches of images with what they belong to; no colours where they may change."""
    owner = patch_owner(pool.cover[images])
    things = pool.things[images].long()
    there = (owner >= 0) & (owner < THINGS)
    told = torch.gather(things, 1, owner.clamp(0, THINGS - 1)[..., None].expand(-1, -1, 4))
    kind, cell, number, colour = torch.where(there[..., None], told, UNSURE).unbind(-1)
    patch = torch.where(owner == THINGS, BACKGROUND, kind)
    return Labels(patch, cell, number, torch.where(restyled[:, None], UNSURE, colour))


def present_classes(things: Int[Tensor, "n things 4"]) -> Float[Tensor, "n classes"]:
    """Say which classes images hold."""
    held = F.one_hot(things[..., 0].long().clamp(min=0), BACKGROUND).float()
    return (held * (things[..., :1] >= 0)).amax(1)


def wait_for(files: list[Path], seconds: float = PATIENCE) -> None:
    """Wait until files are there.

    Raises:
        TimeoutError: some are not there in time.
    """
    end = time.monotonic() + seconds
    while missing := [file for file in files if not file.exists()]:
        if time.monotonic() > end:
            raise TimeoutError(f"not written within {seconds:.0f} s: {missing}")
        time.sleep(0.1)
