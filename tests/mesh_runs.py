"""Small runs on eight devices that are one processor: mesh_test starts it.

    python -m tests.mesh_runs FOLDER

The number of devices is jax's for a whole process, so these runs have one of
their own. What came out is written to FOLDER/found.json.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

DEVICES = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CVAE_JAX_TUNE"] = "0"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}"

import jax  # noqa: E402 (it reads the variables set above)
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from cvae_jax import config as configs, runs, settings, train  # noqa: E402
from cvae_jax.loop import begin, evaluate, feed, keys, mesh  # noqa: E402
from cvae_jax.loop.dispatch import make_dispatch  # noqa: E402
from cvae_jax.measures import likelihood, score  # noqa: E402
from cvae_jax.nets.fast import ops  # noqa: E402
from tests import compare_test, small, small_zoo  # noqa: E402

# What is compared are sums, not speed; XLA's own is quicker to compile.
ops.fast_on_cpu = lambda: False
SIZES = (1, 2, 4, 8)
BATCH = 16
STEPS = 50
ROWS = 64
FIRST = {}  # by the name of a system, the state to begin with


def losses(config, columns, size, limit=feed.RESIDENT_BYTES, together=1):
  """Train for STEPS steps on `size` devices: metrics, a mean, operations.

  Args:
    config: of a system whose columns have ROWS rows.
    columns: the training data.
    size: how many devices.
    limit: of feed.Feed; 0 leaves the data on the host.
    together: updates of a dispatch.
  """
  with config.unlocked():
    config.mesh = size
    config.batch_size = BATCH
  system = configs.resolve(config)
  devices = mesh.from_config(config)
  source = feed.Feed(columns, limit, devices)
  if config.system not in FIRST:
    init = begin.compile_fast(system.init)
    FIRST[config.system] = jax.device_get(init(keys.address(0, "init")))
  # Copies, as an update takes the memory of the state that it is given.
  state = devices.replicate(jax.tree.map(np.array, FIRST[config.system]))
  dispatch = make_dispatch(system, devices, source.take)
  update = None
  key = devices.key(lambda: keys.address(0, "train"))
  rng = np.random.default_rng(0)
  found = {}
  for at in range(0, STEPS, together):
    rows = rng.integers(0, ROWS, (together, BATCH)).astype(np.int32)
    with jax.transfer_guard("disallow"):
      table, rows = source(rows)
      given = (state, table, rows, key, devices.replicate(np.int32(at)))
      # Once: it takes no state that lies elsewhere after a step.
      update = update or dispatch.lower(*given).compile()
      state, metrics = update(*given)
    for name, values in jax.device_get(metrics).items():
      found.setdefault(name, []).extend(values.tolist())
  mean = evaluate.make_mean(system.evaluate)
  held = mean(
    state, source, BATCH, devices.key(lambda: keys.address(0, "init"))
  )
  # The operations of one device in an update.
  work = update.cost_analysis()["flops"]
  return {"train": found, "evaluate": held, "work": work}


def images(shape):
  """Draw ROWS uint8 images."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (ROWS, *shape)).astype(np.uint8)


def gan(size):
  """Train a GAN with batch normalisation."""
  config = compare_test.small("gan")
  condition = np.zeros((ROWS, 0), np.float32)
  columns = {"image": images(compare_test.SHAPE), "condition": condition}
  return losses(config, columns, size)


def m2(size):
  """Train the semi-supervised M2, its data on the host."""
  config = configs.load("configs/zoo.py:m2", small_zoo.widths("m2"))
  label = np.arange(ROWS) % 10
  columns = {
    "image": images((28, 28, 1)),
    "labelled_image": images((28, 28, 1))[::-1],
    "label": label.astype(np.int32),
    "condition": np.eye(10, dtype=np.float32)[label],
  }
  names = configs.resolve(config).columns
  columns = {name: columns[name] for name in names}
  return losses(config, columns, size, limit=0, together=2)


def noise(size, partitionable):
  """Draw noise for a batch that is shared out: what a step draws."""
  devices = mesh.from_config(
    configs.ConfigDict({"mesh": size, "batch_size": BATCH})
  )
  rows = devices.split(np.arange(BATCH, dtype=np.float32))
  with jax.threefry_partitionable(partitionable):
    draw = devices.jit(
      lambda key, rows: jax.random.normal(key, (BATCH, 3)) + 0 * rows[:, None]
    )
    return np.asarray(draw(jax.random.key(0), rows)).tolist()


def read():
  """Return the rows that are read for each of four devices' parts."""
  asked = []

  def of(rows):
    asked.append(rows.tolist())
    return rows

  config = configs.ConfigDict({"mesh": 4, "batch_size": BATCH})
  mesh.from_config(config).gather({"number": of}, np.arange(BATCH)[::-1])
  return [rows for rows in asked if rows]


def odd():
  """Return the mean of 0 to 9 in batches of three, on the host, two devices."""
  config = configs.ConfigDict({"mesh": 2, "batch_size": BATCH})
  devices = mesh.from_config(config)
  source = feed.Feed({"x": np.arange(10, dtype=np.float32)}, 0, devices)
  mean = evaluate.make_mean(lambda state, batch, key: {"x": batch["x"] + state})
  key = devices.key(lambda: keys.address(0, "init"))
  return mean(devices.replicate(np.float32(0)), source, 3, key)


def resumed(folder, data):
  """Train digits on 8 devices, go on with 2, then begin and end with 1."""

  def trained(name, **changes):
    config = small.config(data, batch_size=BATCH, **changes)
    return train.train_and_evaluate(config, folder / name)

  trained("changed", mesh=8, epochs=1)
  small.evaluate_nothing(pytest.MonkeyPatch())
  changed = trained("changed", mesh=2, epochs=2)
  whole = trained("whole", mesh=1, epochs=2)
  apart = jax.tree.map(
    lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()),
    changed.params,
    whole.params,
  )
  return max(jax.tree.leaves(apart))


def scored(folder):
  """Score a run by its devices and by one: {devices: its numbers}."""
  run = runs.load(folder)
  found = {}
  for devices in (run.mesh, mesh.ONE):
    one = dataclasses.replace(run, mesh=devices)
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(
        likelihood, "VALUES", 3 * 2 * 784
      )  # the bound of three at once
      scores = score.score(one, samples=2, per_class=3)
    named = settings.leaves({k: v for k, v in scores.items() if v})
    found[devices.size] = {
      key: value for key, value in named if isinstance(value, float)
    }
  return found


def restored(asked, batch_size):
  """Return a finished run's devices, and a mean of its noise by them and one.

  Args:
    asked: config.mesh.
    batch_size: the config's.
  """
  config = configs.ConfigDict({"mesh": asked, "batch_size": batch_size})
  draw = jax.random.normal
  mean = evaluate.make_mean(
    lambda _, batch, key: {"x": draw(key, batch["x"].shape)}
  )
  found = []
  for devices in (mesh.for_run(config), mesh.ONE):
    source = feed.Feed({"x": np.arange(100)}, mesh=devices)
    key = devices.key(lambda: keys.address(0, "evaluate"))
    state = devices.replicate(np.float32(0))
    found.append(mean(state, source, batch_size, key)["x"])
  return [mesh.for_run(config).size, *found]


def refused(data, **changes):
  """Return what is said of a config that cannot train."""
  try:
    mesh.from_config(small.config(data, **changes))
  except configs.ConfigError as error:
    return str(error)
  return ""


def main(folder: Path) -> None:
  """Run all and write what came out."""
  found = {}
  for run, sizes in ((gan, (1, 2, 8)), (m2, (1, 4))):
    found[run.__name__] = {size: run(size) for size in sizes}
  found["noise"] = {
    str(way): [noise(size, way) for size in SIZES] for way in (True, False)
  }
  found["read"] = read()
  found["odd"] = odd()
  data = small.prepare(folder)
  found["apart"] = resumed(folder, data)
  path = folder / "changed" / "environment.json"
  launches = json.loads(path.read_text())
  config = configs.of_run(folder / "changed")
  found["recorded"] = {
    "config": config.mesh,
    "launches": [launch["bits"]["mesh"] for launch in launches],
  }
  found["scored"] = scored(folder / "changed")
  found["restored"] = [restored(0, 20), restored(6, BATCH), restored(1, 20)]
  found["refused"] = {
    "uneven": refused(data, mesh=8, batch_size=20),
    "too_many": refused(data, mesh=9),
    "negative": refused(data, mesh=-1),
  }
  (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
  main(Path(sys.argv[1]))
