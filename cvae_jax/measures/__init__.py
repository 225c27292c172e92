"""Measures of trained runs; the figures are kept in the runs' folders."""
