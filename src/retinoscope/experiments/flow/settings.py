"""What the flow experiment alone can be told."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.ranges import check_whole


@dataclass(frozen=True)
class FlowSettings(OwnSettings):
    """How long the curves are, and how many objects are probed token by token.

    Attributes:
        sizes: how many tokens are deleted or kept, the highest scores first; those that an image
            has not are left out.
        objects: only objects among so many first candidates are measured; candidates are shuffled
            by the run's seed. Each takes some three hundred runs of the model.
        probed: of those, the objects among so many first candidates, of which also single tokens,
            blocks of 2 x 2 tokens, value zeroing and other replacement values are measured.

    Raises:
        RunError: a setting is out of its range.
    """

    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    objects: int = 30
    probed: int = 8

    def __post_init__(self) -> None:
        check_whole("sizes", self.sizes, least=1)
        check_whole("objects", (self.objects,), least=1)
        check_whole("probed", (self.probed,), least=0)
