"""Runs whose parts do not belong together."""

import json
import shutil

import numpy as np

from benchmarks.faults import case
from benchmarks.faults.case import Group
from benchmarks.faults.corruption import NEWEST
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("corruption")
faults = _group.faults
_CHECKPOINT = (NEWEST, "checkpoint", "step 12")


@_group.fault(
  "config.json lost, resumed at another rate",
  refused("config.json", "learning rate", "optim.lr"),
)
def _(room):
  run = room.copy()
  (run / "config.json").unlink()
  return room.resume(run, "--config.optim.lr=0.5")


@_group.fault("checkpoints of a run of another seed", refused("checkpoint"))
def _(room):
  run = room.copy()
  other = room.folder / "other"
  room.train(other, epochs=1, seed=5)
  shutil.rmtree(run / "checkpoints")
  shutil.copytree(other / "checkpoints", run / "checkpoints")
  return room.resume(run)


@_group.fault(
  "newest checkpoint without its state", same_or_refused(nothing, *_CHECKPOINT)
)
def _(room):
  run = room.copy()
  shutil.rmtree(run / NEWEST / "state")
  return room.resume(run)


@_group.fault(
  "newest checkpoint an empty folder", same_or_refused(nothing, *_CHECKPOINT)
)
def _(room):
  run = room.copy()
  shutil.rmtree(run / NEWEST)
  (run / NEWEST).mkdir()
  return room.resume(run)


@_group.fault(
  "an empty folder named as a later step",
  same_or_refused(nothing, "checkpoints/99", "checkpoint 99", "step 99"),
)
def _(room):
  run = room.copy()
  (run / "checkpoints" / "99").mkdir()
  return room.resume(run)


@_group.fault(
  "checkpoint renamed to another step",
  refused("checkpoints/15", "checkpoint 15", "step 15"),
  quick=True,
)
def _(room):
  run = room.copy()
  (run / NEWEST).rename(run / "checkpoints" / "15")
  return room.load(run)


def _resaved(room, change):
  """Save a changed state as the newest checkpoint and load the run."""
  from cvae_jax import runs
  from cvae_jax.loop.folder.checkpoint import Checkpoints

  run = room.copy()
  state = change(runs.load(run).state)
  counters = json.loads((run / NEWEST / "counters" / "metadata").read_text())
  shutil.rmtree(run / NEWEST)
  checkpoints = Checkpoints(run, 2)
  checkpoints.save(12, state, counters)
  checkpoints.close()
  return room.load(run)


@_group.fault("a NaN in a checkpoint", refused("NaN", "not finite"))
def _(room):
  import jax

  def spoil(state):
    first, *rest = jax.tree.leaves(state.params)
    spoilt = np.asarray(first).copy()
    spoilt.flat[0] = np.nan
    tree = jax.tree.structure(state.params)
    return state.replace(params=jax.tree.unflatten(tree, [spoilt, *rest]))

  return _resaved(room, spoil)


@_group.fault("a checkpoint in float16", refused("float16", "type", "dtype"))
def _(room):
  import jax

  half = lambda x: np.asarray(x).astype(np.float16)  # noqa: E731
  return _resaved(
    room, lambda s: s.replace(params=jax.tree.map(half, s.params))
  )


@_group.fault("stray files and folders in checkpoints/", works(nothing))
def _(room):
  run = room.copy()
  (run / "checkpoints" / ".DS_Store").write_text("x")
  (run / "checkpoints" / "12 (copy)").mkdir()
  (run / "checkpoints" / "24.orbax-checkpoint-tmp").mkdir()
  return room.resume(run)


@_group.fault("a torn last line of metrics.jsonl", works(nothing, case.LOSS))
def _(room):
  run = room.copy()
  with (run / "metrics.jsonl").open("a") as file:
    file.write('{"step": 13, "spl')
  return room.resume(run)


@_group.fault(
  "a broken line amid metrics.jsonl",
  same_or_refused(nothing, "metrics.jsonl", wrong=case.LOSS),
)
def _(room):
  run = room.copy()
  lines = (run / "metrics.jsonl").read_text().splitlines()
  lines[1] = lines[1][:20]
  (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
  return room.resume(run)


@_group.fault(
  "a row of metrics.jsonl lost",
  same_or_refused(nothing, "metrics.jsonl", wrong=case.LOSS),
)
def _(room):
  run = room.copy()
  lines = (run / "metrics.jsonl").read_text().splitlines()
  del lines[1]
  (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
  return room.resume(run)
