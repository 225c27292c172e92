"""Shared by all tests: strict broadcasting, and small runs to look at."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["CVAE_JAX_TUNE"] = "0"  # a test process is never started anew

import jax
import pytest

from cvae_jax.host import cpu

cpu.set_flags()  # so that tests run the programs that commands run
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
  """The folder of a few hundred real digits that small runs train on."""
  from tests import small

  return small.prepare(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def quickly_compiled():
  """Compiles without optimising what runs once on a few numbers."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def plain_convolutions(monkeypatch):
  """Leaves convolutions to XLA, whose programs are short to compile.

  That both formulations are the same numbers is conv_test's.
  """
  from cvae_jax.nets.fast import ops

  monkeypatch.setattr(ops, "fast_on_cpu", lambda: False)
