"""Arrays of a wrong kind, shape or range in the Python interface."""

import functools

import numpy as np

from benchmarks.faults.case import Group
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("numerics")
faults = _group.faults


@functools.cache
def _given(folder):
  """Return the half run, eight uint8 images [8, 28, 28, 1], conditions."""
  from cvae_jax import data, runs

  run = runs.load(folder)
  test = data.load(run.config.data).test
  return run, test["image"][:8], test["condition"][:8]


def _asking(ask):
  def act(room):
    run, images, condition = _given(room.base.half())
    return room.call(lambda: ask(run, images, condition))

  return act


def _mean(ask):
  """Encode other images; the value lists how the mean differs."""

  def act(room):
    run, images, condition = _given(room.base.half())
    right = run.encode(images, condition).mean

    def compare():
      found = run.encode(ask(images), condition).mean
      return [] if np.allclose(found, right, atol=1e-5) else [found.mean()]

    return room.call(compare)

  return act


_PIXELS = ("0..255", "[0, 1]", "uint8", "pixel", "range", "finite", "image")
for _name, _change in {
  "int64 images 0..255": lambda x: x.astype(np.int64),
  "int32 images 0..255": lambda x: x.astype(np.int32),
  "uint16 images 0..255": lambda x: x.astype(np.uint16),
  "float32 images 0..255": lambda x: x.astype(np.float32),
  "float64 images 0..255": lambda x: x.astype(np.float64),
  "float16 images in [0, 1]": lambda x: (x / 255).astype(np.float16),
  "float64 images in [0, 1]": lambda x: x / 255,
  "images in [-1, 1]": lambda x: x / 127.5 - 1,
  "a list of images 0..255": lambda x: x.tolist(),
  "a NaN in an image": lambda x: np.where(x > 250, np.nan, x / 255.0),
  "an infinity in an image": lambda x: np.where(x > 250, np.inf, x / 255.0),
  "images of objects": lambda x: x.astype(object),
  "images of strings": lambda x: x.astype(str),
  "complex images": lambda x: x / 255 + 0j,
  "int8 images": lambda x: x.astype(np.int8),
}.items():
  _judge = same_or_refused(nothing, *_PIXELS)
  if _name.startswith("float16"):
    _judge = works(lambda found: not found or abs(found[0]) < 10)
  _group.add(_name, _mean(_change), _judge, quick=True)

_SHAPE = ("shape", "condition", "image", "[B", "rows", "labels")
_ask = {
  "sample labels as conditions": lambda r, x, c: r.sample([3, 3, 8]),
  "sample short conditions": lambda r, x, c: r.sample(c[:, :5]),
  "sample long conditions": lambda r, x, c: r.sample(np.hstack([c, c])),
  "sample a number": lambda r, x, c: r.sample(3),
  "sample a NaN": lambda r, x, c: r.sample(c * np.nan),
  "sample strings": lambda r, x, c: r.sample(["a", "b"]),
  "encode without channel": lambda r, x, c: r.encode(x[..., 0], c),
  "encode flat": lambda r, x, c: r.encode(x.reshape(8, -1), c),
  "encode one image": lambda r, x, c: r.encode(x[0], c[0]),
  "encode fewer conditions": lambda r, x, c: r.encode(x, c[:7]),
  "encode other size": lambda r, x, c: r.encode(x[:, :20, :20], c),
  "encode colour": lambda r, x, c: r.encode(np.repeat(x, 3, -1), c),
  "decode short latents": lambda r, x, c: r.decode(np.zeros((8, 1)), c),
  "decode unequal rows": lambda r, x, c: r.decode(np.zeros((7, 3)), c),
  "decode a NaN": lambda r, x, c: r.decode(np.full((8, 3), np.nan), c),
  "edit unequal rows": lambda r, x, c: r.edit(x, c, c[:3]),
  "classify what cannot": lambda r, x, c: r.classify(x),
  "predict what cannot": lambda r, x, c: r.predict(x),
  "encode class 10": lambda r, x, c: r.conditions.encode([10]),
  "encode class -1": lambda r, x, c: r.conditions.encode([-1]),
  "encode class 1.5": lambda r, x, c: r.conditions.encode([1.5]),
  "encode class text": lambda r, x, c: r.conditions.encode(["3"]),
  "encode ink 5": lambda r, x, c: r.conditions.encode([3], ink=5),
  "encode ink NaN": lambda r, x, c: r.conditions.encode([3], ink=np.nan),
  "encode ink text": lambda r, x, c: r.conditions.encode([3], ink="dark"),
  "measure 0..255 floats": lambda r, x, c: r.conditions.measure(
    x.astype(np.float64), np.zeros(8, int)
  ),
  "measure other size": lambda r, x, c: r.conditions.measure(
    x[:, :5], np.zeros(8, int)
  ),
}
for _name, _call in _ask.items():
  _names = (
    *_SHAPE,
    "NaN",
    "finite",
    "cannot",
    "0..9",
    "ink",
    "[0, 1]",
    "uint8",
  )
  _group.add(_name, _asking(_call), refused(*_names), quick=True)


def _differ(one, other):
  return [] if np.array_equal(np.asarray(one), np.asarray(other)) else ["other"]


# One condition serves all rows; [A] is [1, A].
for _name, _call in {
  "sample one condition": lambda r, x, c: _differ(
    r.sample(c[0]), r.sample(c[:1])
  ),
  "encode one condition for 8": lambda r, x, c: _differ(
    r.encode(x, c[:1]).mean, r.encode(x, np.repeat(c[:1], 8, 0)).mean
  ),
}.items():
  _group.add(_name, _asking(_call), works(nothing), quick=True)


def _nobody(ask):
  return lambda r, x, c: len(np.asarray(ask(r, x[:0], c[:0])))


for _name, _call in {
  "encode no images": lambda r, x, c: r.encode(x, c).mean,
  "sample no conditions": lambda r, x, c: r.sample(c),
}.items():
  _judge = same_or_refused(nothing, "0 ", "no ", "empty", "at least")
  _group.add(_name, _asking(_nobody(_call)), _judge, quick=True)
