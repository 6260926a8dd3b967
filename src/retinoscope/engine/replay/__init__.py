"""The decoder layers run again behind a shared clean prefix, many conditions in one pass."""
