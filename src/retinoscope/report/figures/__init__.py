"""Figures of a report: matplotlib, colour-blind-safe, readable on light and on dark."""
