"""Shared by all tests: strict broadcasting, and small runs to look at."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["CVAE_JAX_TUNE"] = "0"  # a test process is never started anew

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
