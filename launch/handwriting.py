"""Write all ten digits in the hand of a photographed or drawn one."""

from absl import flags

from . import command, run_flags

_IMAGE = flags.DEFINE_string("image", None, "Any picture of one digit.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/digits", "A digits run.")
_JUDGE = flags.DEFINE_string("judge", "runs/judge", "A classifier's run.")
_OUT = flags.DEFINE_string(
  "out",
  None,
  "PNG, JPEG or WebP; default <workdir>/handwriting/<image's name>.png.",
)
_FAITHFUL = flags.DEFINE_bool(
  "faithful", False, "As the source: encode with the class of each output."
)


def main(_: list[str]) -> None:
  """Write the digits."""
  import numpy as np

  from cvae_jax.apps import handwriting, photo
  from cvae_jax.host import images

  workdir = run_flags.outputs(_WORKDIR)
  source = command.path(_IMAGE)
  path = run_flags.picture(_OUT, workdir / "handwriting" / f"{source.stem}.png")
  images.check_output(path, source)
  image = photo.digit_from_photo(source)
  run = run_flags.load(_WORKDIR)
  judge = _load_judge()
  hand = handwriting.rewrite(run, judge, image)
  print(
    f"read as {hand.digit} ({hand.probability:.1%} sure), ink {hand.ink:+.2f}"
  )
  if _FAITHFUL.value:
    rows = images.to_bytes(handwriting.rewrite_faithful(run, judge, image))
  else:
    rows = images.to_bytes(hand.images)[None]
  first = np.zeros_like(rows[:, :1])
  first[0, 0] = image
  images.save_grid(path, np.concatenate([first, rows], axis=1))
  print(f"wrote {path}: your digit first, then the others in its hand")


def _load_judge():
  """Load the judge, which is no part of the package.

  Raises:
    RunError: none is given, and none is at the default place.
  """
  from cvae_jax.host import commands
  from cvae_jax.runs import RunError

  if not _JUDGE.present and not command.path(_JUDGE).exists():
    raise RunError(
      "a judge reads the digit: give --judge=RUN, or train one: "
      f"{commands.format_command('train')} --config=classifier "
      f"--workdir={_JUDGE.value}"
    )
  return run_flags.load(_JUDGE)


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["image"])
