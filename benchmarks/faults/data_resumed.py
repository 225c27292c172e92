"""Runs resumed, evaluated or judged on other data than they began with."""

import numpy as np

from benchmarks.faults.case import Group
from benchmarks.faults.judges import no_trouble, nothing, refused, works

_group = Group("data")
faults = _group.faults
_CHANGED = ("data", "images", "conditions.json")


def _mirrored(images):
  return images[:, :, ::-1]


def _permuted(images):
  order = np.random.default_rng(0).permutation(784)
  return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def _one_pixel(images):
  images = images.copy()
  images[7, 3, 3] ^= 1
  return images


_CHANGES = {
  "mirrored": _mirrored,
  "with permuted pixels": _permuted,
  "transposed": lambda images: images.transpose(0, 2, 1),
  "in another order": lambda images: images[::-1],
  "with one bit changed": _one_pixel,
  "with rows rolled": lambda images: np.roll(images, 1, axis=0),
  "shifted by a pixel": lambda images: np.roll(images, 1, axis=2),
}


def _changed(room, split, change):
  folder = room.digits()
  path = folder / f"{split}-images-idx3-ubyte"
  raw = path.read_bytes()
  images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
  path.write_bytes(raw[:16] + np.ascontiguousarray(change(images)).tobytes())
  return folder


def _resuming(split, change):
  def act(room):
    folder = _changed(room, split, change)
    return room.resume(room.copy(), f"--config.data.path={folder}")

  return act


for _name, _change in _CHANGES.items():
  _group.add(
    f"resumed on digits {_name}",
    _resuming("train", _change),
    refused(*_CHANGED),
  )
for _name in ("mirrored", "in another order"):
  _group.add(
    f"resumed on test digits {_name}",
    _resuming("t10k", _CHANGES[_name]),
    refused(*_CHANGED, "test"),
  )


@_group.fault("resumed on the same digits elsewhere", works(nothing))
def _(room):
  return room.resume(room.copy(), f"--config.data.path={room.digits()}")


def _evaluating(split, change):
  """Change the digits in place and score the run on them."""

  def act(room):
    import json

    run = room.copy()
    folder = _changed(room, split, change)
    path = run / "config.json"
    config = json.loads(path.read_text())
    config["data"]["path"] = str(folder)
    path.write_text(json.dumps(config))
    words = (f"--workdir={run}", "--samples=0", "--per_class=5")
    return room.command("launch.evaluate", *words)

  return act


for _name in ("mirrored", "with one bit changed"):
  _group.add(
    f"evaluated after training digits were {_name}",
    _evaluating("train", _CHANGES[_name]),
    refused(*_CHANGED),
  )


@_group.fault("evaluated where the digits are gone", refused("digits"))
def _(room):
  import shutil

  run = room.folder / "run"
  folder = room.digits()
  room.train(run, f"--config.data.path={folder}", epochs=1)
  shutil.rmtree(folder)
  return room.command("launch.evaluate", f"--workdir={run}", "--samples=0")


for _name, _words in {
  "an absent run": ("--workdir=/nowhere/run",),
  "no folder": (),
  "an absent judge": ("--judge=/nowhere/judge",),
  "a judge that cannot": ("--judge=@run",),
  "negative samples": ("--samples=-1",),
  "negative per_class": ("--per_class=-1",),
  "a seed below 0": ("--seed=-1",),
}.items():

  def _act(room, words=_words):
    run = room.copy()
    given = [word.replace("@run", str(run)) for word in words]
    if words and not words[0].startswith("--workdir"):
      given += [
        f"--workdir={run}",
        *(["--per_class=3"] * ("pe" not in words[0])),
      ]
    return room.command("launch.evaluate", *given)

  _judge = no_trouble() if "seed" in _name else refused()
  _group.add(f"evaluate with {_name}", _act, _judge, quick="no " in _name)
