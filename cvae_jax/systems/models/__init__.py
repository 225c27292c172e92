"""The networks of each system, and the functions that they compute.

A system's own file has its players, their losses and what is evaluated.
"""
