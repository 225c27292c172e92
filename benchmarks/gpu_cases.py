"""The training steps that gpu.py times: each a page, a batch and columns.

The columns are random, of the shapes that the system asks for, so no data are
needed: a step takes as long on noise as on faces.
"""

import collections
import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np

from cvae_jax import config
from cvae_jax.data import Repeated
from cvae_jax.loop import arithmetic, begin
from cvae_jax.loop.dispatch import make_dispatch
from cvae_jax.loop.feed import Feed
from cvae_jax.nets.fast import ops

PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32"}  # of products
FORMS = {"lax": False, "matmul": True}  # of convolutions and products
PAGES = {
  "digits": "digits.py:model=4,full",
  "faces 9": "faces.py:model=9",
  "faces 15": "faces.py:model=15",
  "zoo m2": "zoo.py:m2,labels=100,full",
  "zoo aae": "zoo.py:aae,full",
  "compare ae": "compare.py:ae,size=64",
  "compare vae": "compare.py:vae,size=64",
  "compare gan": "compare.py:gan,size=64",
  "compare wgan_gp": "compare.py:wgan_gp,size=64",
  "colour 2": "colour.py:model=2,prepared",
}
CHANGES = {"digits": {"loss.grey_start": 0}}
CELLS = 196  # of a photo
ROWS = 1_280


class Case(NamedTuple):
  """One way to compile a family's step, and how its batches arrive."""

  family: str
  precision: str  # of PRECISIONS, or bfloat16 where the config has it
  form: str = "lax"
  dispatch: int = 1  # steps a call
  resident: bool = True  # the columns lie on the device


class Program(NamedTuple):
  """A case, compiled, with all that a call of it needs."""

  case: Case
  batch: int
  compiled: Any
  state: Any  # on the host
  feed: Feed
  key: Any


def columns(system, rows: int = ROWS) -> dict[str, Any]:
  """Draw columns of the shapes that a system asks for."""
  rng = np.random.default_rng(0)
  if "photo" in system.columns:
    photos = rng.integers(0, 256, (100, *system.columns["photo"]), np.uint8)
    cell = np.tile(np.arange(CELLS, dtype=np.int32), len(photos))
    return {"photo": Repeated(photos, CELLS), "cell": cell}
  found: dict[str, Any] = {}
  for name, shape in system.columns.items():
    if "image" in name:
      found[name] = rng.integers(0, 256, (rows, *shape), np.uint8)
    elif name == "label":
      found[name] = rng.integers(0, 10, rows).astype(np.int32)
    else:
      found[name] = rng.random((rows, *shape), np.float32)
  return found


def settings(family: str, precision: str):
  """Load a family's config, at bfloat16 where that is asked for and there."""
  changes = dict(CHANGES.get(family, {}))
  if precision == "bfloat16":
    changes["precision"] = "bfloat16"
  return config.load(f"configs/{PAGES[family]}", changes)


def has_bfloat16() -> bool:
  """Tell whether configs can ask for networks in bfloat16."""
  return "precision" in settings("faces 15", "float32")


@contextlib.contextmanager
def trace_as(case: Case) -> Iterator[None]:
  """Trace with a case's formulation and precision inside this context."""
  with (
    mock.patch.object(ops, "fast_on_cpu", return_value=FORMS[case.form]),
    jax.default_matmul_precision(PRECISIONS.get(case.precision, "float32")),
  ):
    yield


def lower(case: Case, batch: int = 0) -> tuple[Any, ...]:
  """Trace a case's step: (lowered, what `compile_` needs besides)."""
  wanted = settings(case.family, case.precision)
  system, options = arithmetic.apply(wanted, config.resolve(wanted))
  batch = batch or wanted.batch_size
  feed = Feed(columns(system), limit=2 << 30 if case.resident else 0)
  key = jax.random.key(0)
  with trace_as(case):
    state = jax.eval_shape(system.init, key)
    rows = np.zeros((case.dispatch, batch), np.int32)
    table, rows = feed(rows)
    dispatch = make_dispatch(system, options=options)
    lowered = dispatch.lower(state, table, rows, key, np.int32(0))
  return lowered, system, feed, key, batch


def compile_(case: Case, lowered, system, feed, key, batch) -> Program:
  """Compile what `lower` traced; safe in a thread, and slow."""
  compiled = lowered.compile()
  return Program(case, batch, compiled, _state(case, system, key), feed, key)


_STATES: dict[Any, Any] = {}  # of each family, on the host
_LOCKS: dict[Any, threading.Lock] = collections.defaultdict(threading.Lock)


def _state(case: Case, system, key):
  """Return a family's first state, computed once and then kept on the host.

  Each program gets its own copy: a state is donated to the first step.
  """
  kind = case.family, case.precision == "bfloat16"
  with _LOCKS[kind]:
    if kind not in _STATES:
      _STATES[kind] = jax.device_get(begin.compile_fast(system.init)(key))
  return _STATES[kind]


def time_program(program: Program, arguments) -> dict:
  """Time a compiled step: windows of calls, each read at its end."""
  case = program.case
  state = jax.device_put(program.state)
  rng = np.random.default_rng(0)
  size = case.dispatch, program.batch
  draws = [
    rng.integers(0, program.feed.rows, size).astype(np.int32) for _ in range(8)
  ]
  at = 0
  metrics = {}

  def call():
    nonlocal state, at, metrics
    table, rows = program.feed(draws[at % len(draws)])
    state, metrics = program.compiled(
      state, table, rows, program.key, np.int32(at)
    )
    at += case.dispatch

  def read():
    return float(next(v for k, v in metrics.items() if k.endswith("/loss"))[-1])

  call()
  first = read()
  calls = 1
  rates = []
  for warm in range(3):  # ends with how many calls fill a window
    start = time.perf_counter()
    for _ in range(calls):
      call()
    read()
    taken = (time.perf_counter() - start) / calls
    calls = 1 if arguments.dry else max(1, round(arguments.seconds / taken))
    if warm == 0:
      calls = min(calls, 50)
  for _ in range(1 if arguments.dry else arguments.windows):
    start = time.perf_counter()
    for _ in range(calls):
      call()
    loss = read()
    rates.append((time.perf_counter() - start) / calls / case.dispatch * 1e3)
  memory = program.compiled.memory_analysis()
  sizes = [
    memory.argument_size_in_bytes,
    memory.output_size_in_bytes,
    memory.temp_size_in_bytes,
    -memory.alias_size_in_bytes,
  ]
  return case._asdict() | {
    "batch": program.batch,
    "ms": statistics.median(rates),
    "windows_ms": rates,
    "examples_per_second": program.batch / statistics.median(rates) * 1e3,
    "mib": sum(sizes) / 2**20,
    "first_loss": first,
    "last_loss": loss,
  }
