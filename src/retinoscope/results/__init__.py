"""What a run leaves behind: typed records, the store that keeps them, statistics over them."""

from retinoscope.results.store import Results, read

__all__ = ["Results", "read"]
