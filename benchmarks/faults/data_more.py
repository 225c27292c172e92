"""Odd data that once more are not what their names say."""

import bz2
import gzip
import os
import shutil

import numpy as np

from benchmarks.faults import launching
from benchmarks.faults.case import Group
from benchmarks.faults.data_digits import _csv, _folder, _reading
from benchmarks.faults.data_photos import _picture, _saved, prepare
from benchmarks.faults.judges import no_trouble, refused, same_or_refused

_group = Group("data")
faults = _group.faults
_IMAGES = "train-images-idx3-ubyte"


def _cell(old, new):
  return lambda x, y: _csv(x, y).replace(old, new, 1)


# The right digits, or a refusal with the file's name.
_CSV = {
  "a label of Arabic digits": _cell("\n3,", "\n٣,"),
  "a label 1e0": _cell("\n1,", "\n1e0,"),
  "a label 0x1": _cell("\n1,", "\n0x1,"),
  "a label 1_0": _cell("\n1,", "\n1_0,"),
  "a label +1": _cell("\n1,", "\n+1,"),
  "a label in quotes": _cell("\n1,", '\n"1",'),
  "a quote that is not closed": _cell("\n1,", '\n"1,'),
  "a NUL in a cell": _cell("0,0,0", "0,\0,0"),
  "a comment line": _cell("\n", "\n# a comment\n"),
  "an empty line in the middle": _cell("\n3,", "\n\n3,"),
  "the header twice": lambda x, y: (
    _csv(x, y).partition("\n")[0] + "\n" + _csv(x, y)
  ),
  "100,000 columns": lambda x, y: "label," * 100_000 + "\n1",
  "one line of 5 MB": lambda x, y: "9" * 5_000_000,
  "CR line ends": lambda x, y: _csv(x, y).replace("\n", "\r"),
  "an infinity": _cell("0,0,0", "0,inf,0"),
  "a true": _cell("0,0,0", "0,True,0"),
}
for _name, _write in _CSV.items():
  _judge = same_or_refused(bool, "digits.csv")
  _group.add(f"CSV with {_name}", _reading(_write), _judge, quick=True)


def _packed(pack, ending=".gz"):
  def change(path, old):
    path.with_name(path.name + ending).write_bytes(pack(old))
    path.unlink()

  return change


for _name, _change in {
  "gzip with rubbish behind": _packed(lambda old: gzip.compress(old) + b"xyz"),
  "two gzips in one": _packed(lambda old: gzip.compress(old) * 2),
  "bzip2 named .gz": _packed(bz2.compress),
  "gzip within gzip": _packed(lambda old: gzip.compress(gzip.compress(old))),
  "gzip with a wrong checksum": _packed(
    lambda old: gzip.compress(old)[:-8] + bytes(8)
  ),
  "sizes of 0": lambda p, old: p.write_bytes(old[:4] + bytes(12)),
  "a pipe": lambda p, old: (p.unlink(), os.mkfifo(p)),
}.items():
  _group.add(
    f"idx {_name}",
    _folder(_change),
    refused(_IMAGES, "no digits in", "train-labels"),
    quick=True,
  )


def _photos(room):
  return shutil.copytree(room.base.photos(), room.folder / "photos")


def _with(add):
  def act(room):
    folder = _photos(room)
    add(folder)
    return prepare(room, folder, "--on_grey=keep")

  return act


_ODD = {
  "a pipe": lambda f: os.mkfifo(f / "p9.png"),
  "a loop of links": lambda f: (f / "loop").symlink_to(f),
  "a link to itself": lambda f: (f / "p9.png").symlink_to("p9.png"),
  "a link to /dev/zero": lambda f: (f / "p9.png").symlink_to("/dev/zero"),
  "a folder named as a photo": lambda f: (f / "p9.png").mkdir(),
  "a name that is no UTF-8": lambda f: shutil.copy(
    os.fsencode(f / "p0.png"), os.fsencode(f) + b"/\xff.png"
  ),
  "a name with a comma and a quote": lambda f: shutil.copy(
    f / "p0.png", f / 'a,"b.png'
  ),
  "a PNG cut at its end": lambda f: (f / "p9.png").write_bytes(
    _saved(_picture())[:-16]
  ),
  "a JPEG without its end": lambda f: (f / "p9.jpg").write_bytes(
    _saved(_picture(), "jpg")[:-2]
  ),
  "a PNG with a flipped bit": lambda f: (f / "p9.png").write_bytes(
    _flipped(_saved(_picture()))
  ),
  "a drawing in SVG named .png": lambda f: (f / "p9.png").write_text(
    "<svg xmlns='http://www.w3.org/2000/svg'/>"
  ),
  "an animation": lambda f: _picture().save(
    f / "p9.gif", save_all=True, append_images=[_picture().rotate(90)]
  ),
}


def _flipped(content):
  content = bytearray(content)
  content[len(content) // 2] ^= 1
  return bytes(content)


for _name, _add in _ODD.items():
  _group.add(
    f"photos with {_name}",
    _with(_add),
    same_or_refused(
      lambda value: value[1] in (6, 7), "p9", "loop", "UTF-8", "not looked"
    ),
    quick=True,
  )
for _place in ("/dev/zero", "/dev/stdin", "/proc/self/mem", "/dev/null"):
  _group.add(
    f"prepare_photos --images={_place}",
    lambda room, place=_place: prepare(room, place),
    refused(_place),
    quick=True,
  )


def _table(content):
  """Prepare faces with a table."""

  def act(room):
    path = room.folder / "table.csv"
    if content is None:
      os.mkfifo(path)
    else:
      path.write_text(content)
    words = (
      f"--images={room.base.photos()}",
      f"--table={path}",
      f"--out={room.folder / 'out'}",
      "--size=16",
    )
    done = launching.script("prepare_faces", *words)
    if done.code == 0:
      done.value = len(np.load(room.folder / "out" / "images.npy"))
    return done

  return act


_ROWS = "\n".join(f"p{i}.png,{i % 2}" for i in range(6))
_TABLES = {
  "that is a pipe": None,
  "of 0 bytes": "",
  "of a header alone": "file,male\n",
  "without `file`": "name,male\n" + _ROWS,
  "with a column twice": "file,male,male\n"
  + _ROWS.replace("\n", ",1\n")
  + ",1",
  "with a photo twice": "file,male\n" + _ROWS + "\np0.png,1",
  "of photos that are not there": "file,male\nnone.png,1\n",
  "with a path upwards": "file,male\n../photos/p0.png,1\n" + _ROWS,
  "with values of text": "file,male\n" + _ROWS.replace(",1", ",yes"),
  "in UTF-16": "\ufeff" + "file,male\n" + _ROWS,
  "that begins with a NUL": "\0file,male\n" + _ROWS,
}
for _name, _content in _TABLES.items():
  _group.add(
    f"faces' table {_name}",
    _table(_content),
    no_trouble("table.csv", "p0.png", "none.png", "male"),
    quick=True,
  )
