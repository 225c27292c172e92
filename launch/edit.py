r"""Change what a photographed face, or a picture of any data, shows.

    python -m launch.edit --image=photo.jpg --workdir=runs/faces/model=9 \
      --condition="male=1,hair_color=0.9,mouth=0,eyes=1" --set="mouth=1" \
      --set="male=0,hair_color=0.2" --sweep=mouth,eyes

    python -m launch.edit --image=shape.png --workdir=runs/shapes \
      --set="shape=triangle,colour=red" --sweep=size

The picture is encoded with the condition that it shows, and decoded with the
condition that it should show. --condition gives the first one. Without it, the
command takes the condition under which the picture has the highest ELBO.
"""

from pathlib import Path

from absl import flags

from . import command, run_flags

_IMAGE = flags.DEFINE_string(
  "image", None, "A photo of one face, or a picture like those of the run."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_CONDITION = flags.DEFINE_string(
  "condition",
  None,
  "What the picture shows, as name=value,…; by default the model finds it.",
)
_SET = flags.DEFINE_multi_string("set", [], "A change; may be repeated.")
_FIT = flags.DEFINE_enum(
  "fit",
  None,
  ["crop", "squash", "pad"],
  "How a picture of another shape is fitted; default: as prepare images did "
  "with the training images.",
)
_SWEEP = flags.DEFINE_list(
  "sweep", [], "Attributes to show at each level, or over their range."
)
_TOWARDS = flags.DEFINE_string("towards", None, "Another picture to walk to.")
_TOWARDS_CONDITION = flags.DEFINE_string(
  "towards_condition", None, "What --towards shows; by default it is found."
)
_SQUARE = flags.DEFINE_list(
  "square", [], "TOP,BOTTOM,LEFT,RIGHT: the box to keep; default: the middle."
)
_CROP = flags.DEFINE_integer(
  "crop", 0, "Instead: how many pixels to cut off every side.", lower_bound=0
)
_STEPS = 9  # of a walk
_OUT = flags.DEFINE_string(
  "out", None, "PNG, JPEG or WebP; default <workdir>/edits/<image's name>.png."
)


def main(_: list[str]) -> None:
  """Edit the picture."""
  import numpy as np

  from cvae_jax.apps import editing, own_picture
  from cvae_jax.host import images
  from cvae_jax.runs import RunError

  image = command.path(_IMAGE)
  folder = run_flags.outputs(_WORKDIR) / "edits"
  out = run_flags.picture(_OUT, folder / f"{image.stem}.png")
  towards = None if _TOWARDS.value is None else command.path(_TOWARDS)
  inputs = [path for path in (image, towards) if path]
  for path in (out, _add_suffix(out, "sweeps"), _add_suffix(out, "towards")):
    images.check_output(path, *inputs)
  square = _box()
  run = run_flags.load(_WORKDIR)
  _check(run)
  if "" in _SET.value:
    raise RunError("--set= is empty: expected a change, as --set=class=3")
  asked = [run_flags.parse(run, _SET.name, text) for text in _SET.value]
  how = (square, _CROP.value, _FIT.value)
  picture = own_picture.read(run, image, *how)
  _say_fit(run, image)
  own = _find_condition(run, image, picture, _CONDITION)
  if towards:
    other = own_picture.read(run, towards, *how)
    theirs = _find_condition(run, towards, other, _TOWARDS_CONDITION)
  changes = [run.conditions.fill(own, values) for values in asked]
  swept = {name: editing.levels(run, own, name) for name in _SWEEP.value}
  made = editing.edit(run, picture, own, changes)
  labels = [text.replace(",", "\n").replace("=", " ") for text in _SET.value]
  row = np.concatenate([picture[None] / np.float32(255), made])
  _save(out, row[None], columns=["picture", "reconstruction", *labels])
  if swept:
    rows = [editing.edit(run, picture, own, v)[1:] for v in swept.values()]
    captions = [_row_caption(run, name) for name in swept]
    _save(_add_suffix(out, "sweeps"), _pad_rows(rows), rows=captions)
  if towards:
    ends = np.concatenate([own, theirs])
    walked = editing.walk(run, np.stack([picture, other]), ends, _STEPS)
    _save(_add_suffix(out, "towards"), walked[None])


def _say_fit(run, image) -> None:
  """Say how a picture of another shape is fitted."""
  from cvae_jax.apps import own_picture

  if run.config.data.name in ("digits", "faces"):
    return
  if note := own_picture.describe_fit(run, image, _FIT.value):
    print(f"note: {note}")


def _check(run) -> None:
  """Check that a run can edit pictures, and has what --sweep names.

  Raises:
    RunError: it encodes no images or decodes none, or has no such attribute.
  """
  from cvae_jax.apps import editing
  from cvae_jax.loop.run.purposes import purpose
  from cvae_jax.runs import RunError

  if run.system.encode is None or run.system.decode is None:
    raise RunError(
      f"{run.folder}: a {run.config.system} does not encode and decode "
      f"images, so no picture can be edited with it; {purpose(run)}"
    )
  names = [attribute.name for attribute in editing.attributes(run)]
  for name in _SWEEP.value:
    if name not in names:
      raise RunError(
        f"--sweep={name}: no such attribute; the run has "
        f"{', '.join(names) or 'none'}"
      )


def _box() -> tuple[int, ...] | None:
  """Return the box of --square.

  Raises:
    DataError: it is not four numbers.
  """
  from cvae_jax.data import DataError

  words = _SQUARE.value
  if not words:
    return None
  if len(words) != 4 or not all(word.strip().isdigit() for word in words):
    raise DataError(
      f"--square={','.join(words)}: expected four whole numbers, "
      "TOP,BOTTOM,LEFT,RIGHT, as in --square=10,110,20,120"
    )
  return tuple(map(int, words))


def _find_condition(run, path: Path, picture, flag):
  """Return a picture's own condition [1, A], as the flag says or as found."""
  from cvae_jax.apps import editing

  if flag.value is not None:
    values = run_flags.parse(run, flag.name, flag.value)
    return editing.vector(run, values)
  reading = editing.find(run, picture, flag=flag.name)
  if reading.notes:
    print("\n".join([f"{path}:", *reading.notes]))
  return editing.vector(run, reading.values)


def _row_caption(run, name: str) -> str:
  """Return the caption of a row in which an attribute moves."""
  attribute = run.conditions.attribute(name)
  return name if attribute.levels else f"{name}\n{attribute.choices()}"


def _pad_rows(rows: list):
  """Return rows of pictures as one array, the shorter ones filled with grey."""
  import numpy as np

  from cvae_jax.host import images

  longest = max(map(len, rows))
  found = np.full((len(rows), longest, *rows[0].shape[1:]), images.GREY / 255)
  for place, row in zip(found, rows, strict=True):
    place[: len(row)] = row
  return found


def _add_suffix(path: Path, word: str) -> Path:
  return path.with_stem(f"{path.stem}_{word}")


def _save(path: Path, pictures, **captions) -> None:
  from cvae_jax.host import images

  images.save_grid(path, pictures, **captions)
  print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["image", "workdir"])
