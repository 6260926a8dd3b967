"""The checker behind every annotation in the tests."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, taking a whole number for a float as Python's own rules (PEP 484) do."""
