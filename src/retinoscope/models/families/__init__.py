"""One file for each family of VLMs: its geometry and prompt form, in a FAMILY constant."""
