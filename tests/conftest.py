"""Shared by all tests: strict broadcasting, and small runs to look at."""

import gc
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["CVAE_JAX_TUNE"] = "0"  # a test process is never started anew

from cvae_jax.host import compile_cache, cpu

# Compilation is nine tenths of a small run, and most of it is optimising what
# runs on a few numbers: so it takes a fifth of the time. What computes much,
# or could differ by the optimisations, asks for `optimised`. The programs that
# commands compile are run by benchmarks/soak_resume.py, for comparisons of
# bits, and by .ci/install_elsewhere.
UNOPTIMISED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
os.environ[UNOPTIMISED] = "1"
QUICK = {
  "xla_cpu_use_fusion_emitters": "--xla_cpu_use_fusion_emitters=false",
  "xla_cpu_parallel_codegen_split_count": (
    "--xla_cpu_parallel_codegen_split_count=1"
  ),
}
# Without this one, an update is computed once and not twice
# (update._update_owned), a tenth of what is compiled for a step. cpu_test and
# torch_test do it twice.
FLAGS = {k: v for k, v in cpu.FLAGS.items() if k != cpu.MULTI_OUTPUT_FUSION}
cpu.set_flags(FLAGS | QUICK)
# What is compiled need not know which lines of Python it comes from.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Tracing makes many small objects, and Python would look through the young
# ones after every 700: a twentieth of the time.
gc.set_threshold(50_000, 10, 10)
# Each program is compiled once for all workers, the processes that they start
# and later runs of the suite.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
  root = Path(__file__).parents[1]
  compile_cache.use(str(root / ".pytest_cache" / "compiled"))

import jax  # noqa: E402 (it reads the variables set above)
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def few_objects():
  """Keeps what earlier files and imports left out of collections of garbage.

  A million objects are there by then. The library collects garbage after a
  read that failed, and Python now and then: each time half a second.
  """
  gc.collect()
  gc.freeze()


@pytest.fixture(scope="session")
def data(tmp_path_factory):
  """The folder of a few hundred real digits that small runs train on."""
  from tests import small

  return small.prepare(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def optimised():
  """Compiles as commands do: for what XLA's optimisations could break."""
  with pytest.MonkeyPatch.context() as patch:
    patch.delenv(UNOPTIMISED, raising=False)
    jax.config.update(UNOPTIMISED.lower(), False)
    yield
  jax.config.update(UNOPTIMISED.lower(), True)


@pytest.fixture(scope="module")
def plain_convolutions():
  """Leaves convolutions to XLA, whose programs are short to compile.

  It is of a whole file, and so of the runs that its tests share. That both
  formulations are the same numbers is conv_test's.
  """
  with pytest.MonkeyPatch.context() as patch:
    _leave_convolutions_to_xla(patch)
    yield


@pytest.fixture
def plain_convolutions_here(monkeypatch):
  """Leaves convolutions to XLA in one test."""
  _leave_convolutions_to_xla(monkeypatch)


def _leave_convolutions_to_xla(patch):
  from cvae_jax.nets.fast import ops

  patch.setattr(ops, "fast_on_cpu", lambda: False)


@pytest.fixture(scope="module")
def short_colours():
  """Makes programs with colours of cells short, which gives the same bits.

  XLA, told to write one loop for all, writes 64 times into it how a pixel's
  vector is found: ten seconds of compilation. A sum has a loop of its own.
  """
  from cvae_jax.method import cells

  add_up = cells._add_up

  def add_pairs_first(vectors):
    pairs = vectors.reshape(len(vectors), 2, -1, vectors.shape[-1])
    return add_up(pairs.sum(axis=1))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cells, "_add_up", add_pairs_first)
    yield


@pytest.fixture(scope="module")
def shared_programs():
  """Compiles equal programs of runs once, for all files that ask for it."""
  from tests import sharing

  with sharing.programs():
    yield
