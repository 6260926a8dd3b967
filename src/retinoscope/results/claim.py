"""What lies in a run folder when a run is begun or resumed: its own, or a refusal."""

from __future__ import annotations

from retinoscope.errors import RunError
from retinoscope.results.measured import Store, damaged_parts
from retinoscope.results.sheet import damaged_sheets
from retinoscope.results.store import check_gathered


def claim(store: Store) -> list[str]:
    """Make sure that everything in a run folder is this run's, and delete what is damaged.

    Damaged parts and lens files would stand in the way; without them their objects are measured
    anew, as if they had never been.

    Returns:
        What was deleted.

    Raises:
        RunError: something there is of another run, or of none that is known.
    """
    check_gathered(store)
    damaged: list[str] = []
    for parts, table, key in damaged_parts(store):
        parts.delete(table, key)
        damaged.append(parts.place(table, key))
    for path in damaged_sheets(store.run / "lens", store.key):
        try:
            path.unlink()
        except OSError as error:
            raise RunError(f"{path} is damaged and can't be deleted ({error}).") from error
        damaged.append(str(path))
    return damaged
