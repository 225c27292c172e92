"""Compare what two runs came to, bit for bit."""

from pathlib import Path

import jax
import numpy as np

from cvae_jax import config as configs
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.restore import abstract_state, load_pretrained
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import facts
from cvae_jax.types import TrainState


def final_state(workdir: Path) -> tuple[TrainState, dict]:
  """Restore a run's last checkpoint and the loop's counters."""
  config = configs.from_json((workdir / "config.json").read_text())
  system = configs.resolve(config, facts(workdir))
  checkpoints = Checkpoints(workdir, config.keep, read_only=True)
  try:
    checkpoints.hold(load_pretrained(system, config))
    return checkpoints.restore(checkpoints.latest(), abstract_state(system))
  finally:
    checkpoints.close()


def differences(one: Path, other: Path) -> list[str]:
  """Compare what two runs came to; times apart, nothing may differ."""
  (state, counters), (state_b, counters_b) = map(final_state, (one, other))
  lines = unequal_leaves(state, state_b)
  if any(counters[k] != counters_b[k] for k in ("sums", "watch")):
    lines.append("counters of the last checkpoint")
  rows, rows_b = map(read_without_times, (one, other))
  if len(rows) != len(rows_b):
    lines.append(f"metrics.jsonl: {len(rows)} rows and {len(rows_b)}")
  lines += [
    f"metrics.jsonl: {a} and {b}"
    for a, b in zip(rows, rows_b, strict=False)
    if a != b
  ]
  pictures, pictures_b = map(_pictures, (one, other))
  lines += [
    f"samples/{name}"
    for name in sorted(pictures.keys() | pictures_b.keys())
    if pictures.get(name) != pictures_b.get(name)
  ]
  return lines


def unequal_leaves(state: TrainState, other: TrainState) -> list[str]:
  """Name the arrays of two states that are not equal in every bit."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  others = jax.tree.leaves(other)
  return [
    jax.tree_util.keystr(path)
    for (path, a), b in zip(leaves, others, strict=True)
    if np.asarray(a).tobytes() != np.asarray(b).tobytes()
  ]


def read_without_times(workdir: Path) -> list[dict]:
  """Read metrics.jsonl without the times, which no two runs share."""
  return [
    {k: v for k, v in row.items() if not k.startswith("time/")}
    for row in read_metrics(workdir)
  ]


def _pictures(workdir: Path) -> dict[str, bytes]:
  paths = (workdir / "samples").glob("*.png")
  return {path.name: path.read_bytes() for path in paths}
