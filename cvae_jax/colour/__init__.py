"""Colouring photographs: cells, recomposition, baselines, scores."""
