"""Files from strangers: nothing of them may run, or write elsewhere."""

import gzip
import json
import os
import pickle
import struct
import zipfile

import numpy as np

from benchmarks.faults.case import Group
from benchmarks.faults.corruption import NEWEST
from benchmarks.faults.data_photos import _picture, _saved, prepare
from benchmarks.faults.judges import no_trouble, refused, works

_group = Group("security")
faults = _group.faults


class _Bomb:
  """Makes a file when it is unpickled."""

  def __init__(self, path):
    self._path = str(path)

  def __reduce__(self):
    return (os.mkdir, (self._path,))


def _safe(done, *marks):
  """Make a success of foreign code or a stray file into a silent fault."""
  found = [str(mark) for mark in marks if mark.exists()]
  if found:
    done.code, done.text, done.value = 0, "", found
  return done


def _naming(**changes):
  """Load a run whose config.json names something foreign."""

  def act(room):
    run, config = room.copy(), None
    path = run / "config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
      *groups, last = key.split("__")
      part = config
      for group in groups:
        part = part[group]
      part[last] = value
    path.write_text(json.dumps(config))
    return room.load(run)

  return act


_FOREIGN = ["", "/tmp/x", "../os", "os", "subprocess", "cvae_jax.train"]
_FOREIGN += ["download"]  # a module beside the sources
for _name in _FOREIGN:
  _group.add(
    f"config.json with data.name={_name!r}",
    _naming(data__name=_name),
    refused("data", "config.json"),
    quick=True,
  )
  _group.add(
    f"config.json with system={_name!r}",
    _naming(system=_name),
    refused("system", "config.json"),
    quick=True,
  )
for _key, _value in {
  "model": None,
  "model__encoder": 3,
  "model__encoder__dense": "8",
  "model__encoder__features": "4",
  "data": [],
  "optim": None,
  "early_stop": 1,
  "keep": "two",
  "seed": {},
}.items():
  _group.add(
    f"config.json with {_key.replace('__', '.')}={_value!r}",
    _naming(**{_key: _value}),
    no_trouble("config.json", _key.split("__")[-1]),
    quick=True,
  )


@_group.fault(
  "a pickle as images.npy", refused("images.npy", "out"), quick=True
)
def _(room):
  from cvae_jax.data.files import prepared

  out, mark = room.folder / "out", room.folder / "ran"
  prepare(room, room.base.photos())
  array = np.empty(6, object)
  array[0] = _Bomb(mark)
  np.save(out / "images.npy", array, allow_pickle=True)
  return _safe(room.call(lambda: prepared.read(out, 16)), mark)


@_group.fault("a pickle as digits in .npz", refused("npz"), quick=True)
def _(room):
  from cvae_jax.data.files import digit_files

  path, mark = room.folder / "mnist.npz", room.folder / "ran"
  array = np.empty(1, object)
  array[0] = _Bomb(mark)
  np.savez(path, x_train=array, y_train=array, x_test=array, y_test=array)
  return _safe(room.call(lambda: digit_files.read("mnist", str(path))), mark)


@_group.fault("a pickle as a CSV", refused("digits.csv"), quick=True)
def _(room):
  from cvae_jax.data.files import digit_files

  path, mark = room.folder / "digits.csv", room.folder / "ran"
  path.write_bytes(pickle.dumps(_Bomb(mark)))
  return _safe(room.call(lambda: digit_files.read("mnist", str(path))), mark)


@_group.fault("a pickle as a checkpoint's file", refused(NEWEST, "step 12"))
def _(room):
  run, mark = room.copy(), room.folder / "ran"
  for path in (run / NEWEST / "state").rglob("*"):
    if path.is_file():
      path.write_bytes(pickle.dumps(_Bomb(mark)))
  return _safe(room.load(run), mark)


for _name in (
  "../slipped.png",
  "/tmp/faults_slipped.png",
  "a/../../slipped.png",
):

  def _slip(room, name=_name):
    path = room.folder / "in" / "photos.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("a.png", _saved(_picture()))
      archive.writestr(name, _saved(_picture()))
    done = prepare(room, path, "--on_grey=keep")
    mark = room.folder / "slipped.png"
    other = type(mark)("/tmp/faults_slipped.png")
    found = [str(p) for p in (mark, other) if p.exists()]
    done.value = found
    return done

  _group.add(
    f"zip entry {_name}", _slip, works(lambda found: not found), quick=True
  )


def _huge(kind):
  """Read digits whose file claims or unpacks to far too much."""

  def act(room):
    from cvae_jax.data.files import digit_files

    folder = room.digits()
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 28, 28)
    if kind == "header":
      path.write_bytes(head)
    else:
      zipped = gzip.compress(head + bytes(1 << 28))
      path.with_name(f"{path.name}.gz").write_bytes(zipped)
    return room.call(lambda: digit_files.read("mnist", str(folder)))

  return act


_group.add(
  "idx header of 1.6 TB", _huge("header"), refused("train"), quick=True
)
_group.add("gzip of 256 MB", _huge("gzip"), refused("train"))


@_group.fault("npy header of 1 TB", refused("images.npy", "out"), quick=True)
def _(room):
  from cvae_jax.data.files import prepared

  out = room.folder / "out"
  prepare(room, room.base.photos())
  with (out / "images.npy").open("wb") as file:
    head = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 16, 16, 3)}
    np.lib.format.write_array_header_1_0(file, head)
  return room.call(lambda: prepared.read(out, 16))


@_group.fault("PNG header of 60000 x 60000", refused("bomb.png"), quick=True)
def _(room):
  import zlib

  def chunk(kind, content):
    body = kind + content
    return (
      struct.pack(">I", len(content))
      + body
      + struct.pack(">I", zlib.crc32(body))
    )

  head = struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)
  content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x")
  folder = room.folder / "in"
  folder.mkdir()
  (folder / "bomb.png").write_bytes(content)
  return prepare(room, folder)


def _linked(name):
  """Put a link to a foreign file in a run's place and load the run."""

  def act(room):
    run = room.copy()
    path = run / name
    secret = room.folder / "secret"
    secret.write_bytes(b"root:x:0:0" * 40)
    path.unlink()
    path.symlink_to(secret)
    done = room.load(run)
    done.text = done.text.replace("root:x:0:0root", "LEAKED")
    if "LEAKED" in done.text:
      done.code = 0
    return done

  return act


for _name in ("config.json", "conditions.json", f"{NEWEST}/counters/metadata"):
  _names = (_name.rpartition("/")[2], NEWEST)
  _group.add(f"{_name} a link", _linked(_name), refused(*_names), quick=True)


@_group.fault("a resumed run's logs are links to a file", works(bool))
def _(room):
  run, foreign = room.copy(), room.folder / "foreign"
  foreign.write_text("keep me\n")
  for name in ("parameters.txt", "environment.json"):
    (run / name).unlink()
    (run / name).symlink_to(foreign)
  done = room.resume(run)
  done.code, done.value = 0, foreign.read_text() == "keep me\n"
  return done
