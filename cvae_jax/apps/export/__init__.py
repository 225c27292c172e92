"""Handing a run on: one folder that other programs can read, too."""
