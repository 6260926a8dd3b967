"""What an attack brought to light: one input for each place in the code, kept as a file."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Findings:
    """Errors that nobody meant, by where they arise.

    Attributes:
        folder: where the inputs are kept.
        kinds: error and place -> how often, and the first input.
    """

    folder: Path
    kinds: dict[str, tuple[int, Path]] = field(default_factory=dict)

    def keep(self, error: BaseException, content: bytes) -> None:
        """Count an error, and keep the input if its like has not been seen."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "retinoscope" in Path(frame.filename).parts]
        where = (ours or frames)[-1]
        kind = f"{type(error).__name__}({str(error)[:120]!r}) at {where.filename}:{where.lineno}"
        count, path = self.kinds.get(kind, (0, self.folder / f"finding-{len(self.kinds)}"))
        if not count:
            path.write_bytes(content)
        self.kinds[kind] = (count + 1, path)

    @property
    def told(self) -> str:
        """Every kind, with its input."""
        return "\n".join(
            f"{count} times {kind}; input {path}: {path.read_bytes()[:200]!r}"
            for kind, (count, path) in self.kinds.items()
        )
