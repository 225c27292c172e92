"""The zoo's digit systems with networks of a few units, for its tests."""

import functools
import json

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, train
from cvae_jax.data import load
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.method import update
from cvae_jax.runs import Run
from tests import small

ZOO = "configs/zoo.py"
KEY = jax.random.key(0)
BATCH = 6
NETS = {
  "m2": ("classifier", "inference", "generator"),
  "m1m2": ("classifier", "inference", "generator"),
  "aae": ("encoder", "decoder", "discriminator"),
  "ilaae": ("encoder", "decoder", "discriminator"),
  "ssaae": (
    *("encoder", "decoder"),
    *("class_discriminator", "style_discriminator"),
  ),
}


def widths(name):
  """Make a page's networks small."""
  nets = NETS.get(name.partition(",")[0], ("encoder", "decoder"))
  changes = {f"model.{net}.widths": (5, 4) for net in nets}
  if name.startswith("m1m2"):
    changes |= {
      f"model.features.{net}.widths": (5,) for net in ("encoder", "decoder")
    } | {"model.features.latents": 3}
  if name.partition(",")[0] not in ("aae", "ilaae"):
    changes["model.latents"] = 2 if name.startswith("m3") else 3
  return changes


class Small:
  """A small system with its players, and a state to look at.

  Nothing is compiled to initialise it: what is drawn here is also large
  enough for every input to show in every output.
  """

  def __init__(self, name, **changes):
    self.players = {}
    make_step = update.make_step
    self.config = configs.load(
      f"{ZOO}:{name}", widths(name) | small._dotted(changes)
    )
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(
        update, "make_step", lambda p: self.players.update(p) or make_step(p)
      )
      self.system = configs.resolve(self.config)
    rng = np.random.default_rng(0)
    state = jax.eval_shape(self.system.init, KEY)
    params = jax.tree.map(
      lambda p: rng.normal(0, 0.3, p.shape).astype(np.float32), state.params
    )
    state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), state)
    self.state = state.replace(params=params)
    self.evaluate = jax.jit(self.system.evaluate)

  def loss(self, state, player="model"):
    """Return a player's loss and terms, dropout and noise as in training."""
    value, (terms, _) = jax.jit(self.players[player].loss)(
      state.params, {}, batch(), KEY, np.int32(0)
    )
    return float(value), terms


@functools.cache
def made(name, **changes):
  return Small(name, **changes)


@functools.cache
def batch(classes=10, seed=0):
  rng = np.random.default_rng(seed)
  shape = (BATCH, 28, 28, 1)
  label = rng.integers(0, 10, BATCH)
  return {
    "image": rng.integers(0, 256, shape).astype(np.uint8),
    "labelled_image": rng.integers(0, 256, shape).astype(np.uint8),
    "label": label.astype(np.int32),
    "condition": np.eye(10, dtype=np.float32)[label][:, :classes],
  }


def float64(tree):
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def flat(images):
  return images.reshape(len(images), -1) / 255.0


def noiseless(state, branch="encoder"):
  """Make a posterior so sure of itself that z is its mean: σ = e⁻⁴⁰."""
  layers = dict(state.params[branch])
  head = layers["logvar"]
  layers["logvar"] = {
    "kernel": 0 * head["kernel"],
    "bias": 0 * head["bias"] - 80,
  }
  return state.replace(params={**state.params, branch: layers})


def run(data, folder, name, **changes):
  """Trains a small run of a page for `epochs` epochs of four steps."""
  own = {
    "data.path": str(data),
    "batch_size": 100,
    "log_every": 2,
    "checkpoint_every": 3,
  }
  changes = widths(name) | own | small._dotted(changes)
  config = configs.load(f"{ZOO}:{name},smoke", changes)
  return train.train_and_evaluate(config, folder)


def finished(name, data, folder, *tests, **changes):
  """Saves a page's small system, untrained, as a finished run; see `save`."""
  system = made(name, data__path=str(data), **changes)
  save(system.config, system.state, folder, *tests)


def save(config, state, folder, *tests):
  """Saves a state as a finished run.

  Args:
    tests: the test metrics of each epoch; epoch e is named step e. States are
      kept of epochs 1 and 5 and of the last.
  """
  folder.mkdir(parents=True)
  conditions = load(config.data).conditions.to_json()
  rows = [
    {"step": epoch, "split": split, "epoch": float(epoch), **found}
    for epoch, metrics in enumerate(tests, 1)
    for split, found in (("epoch", {}), ("test", metrics))
  ]
  launch = {"device": "cpu:0", "packages": {"jax": "0"}, "commit": "abc1234x"}
  for file, text in {
    "config.json": configs.to_json(config),
    "conditions.json": json.dumps(conditions),
    "environment.json": json.dumps([launch]),
    "metrics.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    "parameters.txt": "total 7",
    "DONE": "",
  }.items():
    (folder / file).write_text(text)
  checkpoints = Checkpoints(folder, keep=3)
  for step in sorted({1, 5, len(tests)} & {row["step"] for row in rows}):
    checkpoints.save(step, state.replace(step=np.int32(step)), {})
  checkpoints.close()


def untrained(name, data, folder, **changes):
  """Return a page's small system as a run on the small digits, untrained."""
  system = made(name, data__path=str(data), **changes)
  conditions = load(system.config.data).conditions
  return Run(folder, system.config, conditions, system.system, system.state)


def lend(name, folder, **changes):
  """Saves a page's small system, untrained, where others can borrow of it."""
  system = made(name, **changes)
  folder.mkdir()
  (folder / "config.json").write_text(configs.to_json(system.config))
  checkpoints = Checkpoints(folder)
  checkpoints.save(1, system.state.replace(step=np.int32(1)), {})
  checkpoints.close()
  return system.state.params
