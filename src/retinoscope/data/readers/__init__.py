"""Readers of public benchmarks: one file a format, all into the same samples and questions."""
