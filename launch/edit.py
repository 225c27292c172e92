r"""Change attributes of a photographed face, or of a picture of any data.

    python -m launch.edit --image=photo.jpg --workdir=runs/faces/model=9 \
      --condition="male=1,hair_color=0.9,mouth=0,eyes=1" --set="mouth=1" \
      --set="male=0,hair_color=0.2" --sweep=mouth,eyes

    python -m launch.edit --image=shape.png --workdir=runs/shapes \
      --set="shape=triangle,colour=red" --sweep=size

The photo is encoded with its own condition and decoded with the changed one.
Without --condition its own is the one under which the model explains it best.
"""

import contextlib
import re
from pathlib import Path

from absl import flags

from . import command

_IMAGE = flags.DEFINE_string(
  "image", None, "A photo of one face, or of what a run is on."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_CONDITION = flags.DEFINE_string(
  "condition", None, "The photo's own, name=value by commas; default: found."
)
_SET = flags.DEFINE_multi_string("set", [], "A change; may be given often.")
_SWEEP = flags.DEFINE_list("sweep", [], "Conditions to move over their range.")
_TOWARDS = flags.DEFINE_string("towards", None, "Another photo to walk to.")
_SQUARE = flags.DEFINE_list(
  "square", [], "TOP,BOTTOM,LEFT,RIGHT: the box to keep; default: the middle."
)
_CROP = flags.DEFINE_integer(
  "crop", 0, "Pixels off every side, instead.", lower_bound=0
)
_OUT = flags.DEFINE_string(
  "out", None, "PNG, JPEG or WebP; default <workdir>/edits/<image's name>.png."
)


def main(_: list[str]) -> None:
  """Edit the photo."""
  import numpy as np

  from cvae_jax import runs
  from cvae_jax.apps import editing
  from cvae_jax.data.files import image_files
  from cvae_jax.host import images

  workdir = command.path(_WORKDIR)
  image = command.path(_IMAGE)
  out = command.path(_OUT, workdir / "edits" / f"{image.stem}.png")
  towards = None if _TOWARDS.value is None else command.path(_TOWARDS)
  inputs = [path for path in (image, towards) if path]
  for path in (out, _beside(out, "sweeps"), _beside(out, "towards")):
    images.check_output(path, *inputs)
  run = runs.load(workdir)
  if line := runs.caution(run):
    print(line)
  if run.config.data.name != "faces":
    _edit_in_words(run, image, towards, out)
    return
  fit = _fit(run)
  photo = image_files.read_photo(image, fit)
  own = _own(run, photo, _CONDITION.value)
  changes = [editing.parse(text) for text in _SET.value]
  rows = editing.edit(run, photo, own, changes)
  labels = [text.replace(",", "\n").replace("=", " ") for text in _SET.value]
  swept = [editing.sweep(run, photo, own, name) for name in _SWEEP.value]
  row = np.concatenate([photo[None] / np.float32(255), rows])
  _save(out, row[None], columns=["photo", "reconstruction", *labels])
  if swept:
    captions = [_moved(run, name) for name in _SWEEP.value]
    _save(_beside(out, "sweeps"), np.stack(swept), rows=captions)
  if towards:
    other = image_files.read_photo(towards, fit)
    print(f"{towards}:")
    _save(_beside(out, "towards"), _walk(run, photo, own, other)[None])


def _edit_in_words(run, image: Path, towards: Path | None, out: Path) -> None:
  """Edit a picture with a run on other data than faces.

  Raises:
    RunError: a flag is for faces alone.
  """
  import numpy as np

  from cvae_jax import runs
  from cvae_jax.apps import word_editing as editing
  from cvae_jax.host import images

  swept = {
    name: _beside(out, re.sub(r"\W", "_", name)) for name in _SWEEP.value
  }
  for path in swept.values():
    images.check_output(path, image, *([towards] if towards else []))
  if _SQUARE.value or _CROP.value:
    raise runs.RunError(
      "--square and --crop are for runs on faces; others take the largest "
      "middle part: cut the picture first"
    )
  changes = [_parse(run, text) for text in _SET.value]
  picture = editing.read(run, image)
  own = editing.find_own(run, picture, _CONDITION.value)
  said = ", ".join(f"{name}={value}" for name, value in own.items())
  print(f"the picture shows {said or 'nothing that can be asked for'}")
  made = editing.edit(run, picture, own, changes)
  labels = [text.replace(",", "\n").replace("=", " ") for text in _SET.value]
  row = np.concatenate([picture[None] / np.float32(255), made])
  _save(out, row[None], columns=["picture", "reconstruction", *labels])
  for name, path in swept.items():
    _save(path, editing.sweep(run, picture, own, name)[None], rows=[name])
  if towards:
    other = editing.read(run, towards)
    there = editing.find_own(run, other, None)
    walked = editing.walk(run, (picture, other), (own, there))
    _save(_beside(out, "towards"), walked[None])


def _parse(run, text: str) -> dict:
  """Return what one --set asks for, {attribute: value}.

  Raises:
    DataError: it asks for what the run cannot be asked for.
  """
  from cvae_jax.data import DataError

  try:
    return run.parse(text)
  except DataError as error:
    raise DataError(f"--set={text}: {error}") from None


def _fit(run):
  """Say how a photo becomes what the run was trained on."""
  from cvae_jax.data import DataError, faces
  from cvae_jax.data.files import image_files, prepared

  data = run.config.data
  resize = "bilinear"
  if data.source == "prepared":
    with contextlib.suppress(DataError, KeyError):  # a run from elsewhere
      resize = prepared.read(faces.folder(data)).info["resize"]
  try:
    square = tuple(map(int, _SQUARE.value)) or None
  except ValueError:
    square = ()
  if square is not None and len(square) != 4:
    raise DataError(
      f"--square is TOP,BOTTOM,LEFT,RIGHT; found {','.join(_SQUARE.value)}"
    )
  return image_files.Fit(data.image_shape[0], _CROP.value, square, resize)


def _own(run, photo, text: str | None) -> dict[str, float]:
  """Return the photo's own condition, as said or as found."""
  from cvae_jax.apps import editing

  if text is not None:
    return editing.parse(text)
  reading = editing.read_by_elbo(run, photo)
  print("\n".join(reading.notes))
  return reading.values


def _walk(run, photo, own, other):
  """Walk from one photo's latent to another's, under the first's condition."""
  import numpy as np

  from cvae_jax.figures import faces

  ends = [run.conditions.encode(own)]
  ends.append(run.conditions.encode(_own(run, other, None)))
  return faces.between(run, np.stack([photo, other]), np.concatenate(ends))


def _moved(run, name: str) -> str:
  low, high = run.conditions.ranges[run.conditions.names.index(name)]
  return f"{name}\n{low:g} to {high:g}"


def _beside(path: Path, word: str) -> Path:
  return path.with_stem(f"{path.stem}_{word}")


def _save(path: Path, pictures, **captions) -> None:
  from cvae_jax.host import images

  images.save_grid(path, pictures, **captions)
  print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["image", "workdir"])
