"""Photos that are damaged, of odd kinds, or in odd archives."""

import io
import zipfile

import numpy as np
from PIL import Image

from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group
from benchmarks.faults.judges import no_trouble, refused, same_or_refused, works

_group = Group("data")
faults = _group.faults


def _picture(mode="RGB", size=(40, 40)) -> Image.Image:
  values = np.linspace(0, 255, size[0] * size[1]).astype(np.uint8)
  grey = Image.fromarray(values.reshape(size[::-1]))
  return grey.convert("RGB").convert(mode)


def _saved(picture, ending="png") -> bytes:
  file = io.BytesIO()
  picture.save(file, {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending))
  return file.getvalue()


def prepare(room, images, *words):
  """Run prepare_photos; the value: the prepared pixels' mean and count."""
  out = room.folder / "out"
  words = (f"--images={images}", f"--out={out}", "--size=16", *words)
  done = launching.script("prepare_photos", *words)
  if done.code == 0:
    array = np.load(out / "images.npy")
    done.value = (float(array.mean()), len(array))
  return done


def _beside(name, content):
  """Prepare the good photos and one odd one."""

  def act(room):
    folder = room.folder / "photos"
    folder.mkdir()
    for path in room.base.photos().iterdir():
      (folder / path.name).write_bytes(path.read_bytes())
    (folder / name).write_bytes(content)
    return prepare(room, folder, "--on_grey=keep")

  return act


def _alone(name, content):
  """Prepare the odd photo alone; its mean is to be about 127."""

  def act(room):
    folder = room.folder / "photos"
    folder.mkdir()
    (folder / name).write_bytes(content)
    return prepare(room, folder, "--on_grey=keep")

  return act


def _is_grey(value) -> bool:
  return abs(value[0] - 127) < 12


_GREY = np.asarray(_picture("L"))
_KINDS = {
  "float.tif": Image.fromarray(_GREY.astype(np.float32) / 255),
  "int32.tif": Image.fromarray(_GREY.astype(np.int32)),
  "bits12in16.tif": Image.fromarray(_GREY.astype(np.uint16) * 16),
  "bits16.png": Image.fromarray(_GREY.astype(np.uint16) * 257),
  "cmyk.jpg": _picture("CMYK"),
  "alpha.png": _picture("RGBA"),
  "palette.png": _picture("P"),
  "lab.tif": _picture("LAB"),
  "grey.webp": _picture("RGB"),
}
for _name, _image in _KINDS.items():
  _content = _saved(_image, _name.rpartition(".")[2])
  _judge = same_or_refused(_is_grey, _name)
  _group.add(f"photo {_name}", _alone(_name, _content), _judge, quick=True)
_BROKEN = {
  "empty.png": b"",
  "page.jpg": b"<!DOCTYPE html><html></html>",
  "cut.png": _saved(_picture())[:60],
  "cut.jpg": _saved(_picture(), "jpg")[:-200],
  "nul.jpg": bytes(4000),
  "text.png": b"not an image\n" * 40,
}
for _name, _content in _BROKEN.items():
  _act = _beside(_name, _content)
  _group.add(f"photo {_name} beside good", _act, refused(_name), quick=True)
for _size in (0, -1, 10**6):
  _group.add(
    f"prepare_photos --size={_size}",
    lambda room, n=_size: prepare(room, room.base.photos(), f"--size={n}"),
    refused("size"),
  )


def _zipped(fill):
  def act(room):
    path = room.folder / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
      fill(archive)
    return prepare(room, path, "--on_grey=keep")

  return act


def _twice(archive):
  import warnings

  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    archive.writestr("a.png", _saved(_picture()))
    archive.writestr("a.png", _saved(_picture().rotate(90)))


_group.add(
  "a name twice in a zip",
  _zipped(_twice),
  same_or_refused(lambda v: v[1] == 2, "a.png", wrong=LOSS),
  quick=True,
)
_group.add("an empty zip", _zipped(lambda z: None), refused("zip"), quick=True)
for _name, _content in {"text.zip": b"x" * 99, "none.zip": b""}.items():
  _group.add(
    f"{_name} is no zip",
    lambda room, n=_name, c=_content: prepare(room, _file(room, n, c)),
    refused(_name),
    quick=True,
  )


def _file(room, name, content):
  path = room.folder / name
  path.write_bytes(content)
  return path


@_group.fault("an empty folder of photos", refused("photos"), quick=True)
def _(room):
  (room.folder / "photos").mkdir()
  return prepare(room, room.folder / "photos")


@_group.fault("an absent folder of photos", refused("absent"), quick=True)
def _(room):
  return prepare(room, room.folder / "absent")


@_group.fault(
  "a linked subfolder of photos",
  same_or_refused(lambda v: v[1] == 7, "link", "album", wrong=LOSS),
  quick=True,
)
def _(room):
  folder = room.folder / "photos"
  folder.mkdir()
  (folder / "own.png").write_bytes(_saved(_picture()))
  (folder / "album").symlink_to(room.base.photos())
  return prepare(room, folder, "--on_grey=keep")


@_group.fault("a photo overwritten by --out", works(bool, LOSS))
def _(room):
  from cvae_jax.host import images

  path = _file(room, "me.png", _saved(_picture()))
  old = path.read_bytes()
  done = room.command(
    "launch.edit",
    f"--workdir={room.base.half()}",
    f"--image={path}",
    f"--out={path}",
    "--set=ink=0.5",
  )
  done.value = path.read_bytes() == old
  done.code = 0
  assert images
  return done


@_group.fault("another set in --out", refused("out"), quick=True)
def _(room):
  prepare(room, room.base.photos(), "--size=16")
  return prepare(room, room.base.photos(), "--size=20")


@_group.fault("a kill amid preparing leaves no set", no_trouble(), quick=True)
def _(room):
  out = room.folder / "out"
  out.mkdir()
  (out / ".images.npy.tmp").write_bytes(b"half")
  return prepare(room, room.base.photos())


def _set_damaged(change):
  """Prepare, damage the set, and read it."""

  def act(room):
    from cvae_jax.data.files import prepared

    out = room.folder / "out"
    prepare(room, room.base.photos())
    change(out)
    return room.call(lambda: prepared.read(out, 16).images.mean())

  return act


def _rewrite(change):
  def damage(out):
    array = np.load(out / "images.npy")
    np.save(out / "images.npy", change(array))

  return damage


_SETS = {
  "images.npy inverted": _rewrite(lambda a: 255 - a),
  "images.npy of floats": _rewrite(lambda a: a / 255),
  "images.npy in another order": _rewrite(lambda a: a[::-1]),
  "images.npy of other count": _rewrite(lambda a: a[:3]),
  "images.npy cut": lambda o: _cut(o / "images.npy"),
  "attributes.csv cut": lambda o: _cut(o / "attributes.csv"),
  "prepared.json cut": lambda o: _cut(o / "prepared.json"),
  "prepared.json a list": lambda o: (o / "prepared.json").write_text("[]"),
  "prepared.json a number": lambda o: (o / "prepared.json").write_text("1"),
  "prepared.json empty": lambda o: (o / "prepared.json").write_text(""),
  "images.npy removed": lambda o: (o / "images.npy").unlink(),
}
for _name, _change in _SETS.items():
  _names = (_name.split()[0], "/out")
  _group.add(_name, _set_damaged(_change), refused(*_names), quick=True)


def _cut(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
