"""Readers of the files that images and their attributes come in."""
