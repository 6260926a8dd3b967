"""Edits in force: checked, applied, and carried out in a full forward pass."""
