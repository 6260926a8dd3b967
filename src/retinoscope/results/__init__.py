"""What a run leaves behind: typed records, the store that keeps them, statistics over them."""

from retinoscope.results.indices import token_indices
from retinoscope.results.protocol import CORRECTED, PAPER, Protocol, parse_protocol
from retinoscope.results.store import Results, read

__all__ = ["CORRECTED", "PAPER", "Protocol", "Results", "parse_protocol", "read", "token_indices"]
