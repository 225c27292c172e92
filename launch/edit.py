r"""Change attributes of a photographed face.

    python -m launch.edit --image=photo.jpg --workdir=runs/faces/model=9 \
      --condition="male=1,hair_color=0.9,mouth=0,eyes=1" --set="mouth=1" \
      --set="male=0,hair_color=0.2" --sweep=mouth,eyes

The photo is encoded with its own condition and decoded with the changed one.
Without --condition its own is the one under which the model explains it best.
"""

import contextlib
from pathlib import Path

from absl import flags

from . import command

_IMAGE = flags.DEFINE_string("image", None, "A photo of one face, any size.")
_WORKDIR = flags.DEFINE_string("workdir", None, "A run on faces.")
_CONDITION = flags.DEFINE_string(
  "condition", None, "The photo's own, name=number by commas; default: found."
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


def _fit(run):
  """Say how a photo becomes what the run was trained on."""
  from cvae_jax import runs
  from cvae_jax.data import DataError, faces
  from cvae_jax.data.files import image_files, prepared

  data = run.config.data
  if data.name != "faces":
    raise runs.RunError(
      f"{run.folder} is a run on {data.name}, not on faces; give --workdir"
    )
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
