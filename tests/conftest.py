"""Shared by all tests: strict broadcasting, and small runs to look at."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["CVAE_JAX_TUNE"] = "0"  # a test process is never started anew

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
  """The folder of a few hundred real digits that small runs train on."""
  from tests import small

  return small.prepare(tmp_path_factory.getbasetemp())
