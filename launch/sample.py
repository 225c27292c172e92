"""Draw a run's figures as PNG, or samples of a request in words.

    python -m launch.sample --workdir=DIR
    python -m launch.sample --workdir=DIR --set="shape=triangle,size=0.9"
    python -m launch.sample --workdir=DIR --grid=shape,colour
    python -m launch.sample --workdir=DIR --set=shape=circle --sweep=size

An attribute that is left out is drawn from the training rows. If the model was
trained with unknown values, the attribute is unknown instead. --unknown says so
explicitly.
"""

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to draw from.")
_OUT = flags.DEFINE_string(
  "out", None, "Folder, or file of a request; default <workdir>/figures."
)
_SET = flags.DEFINE_multi_string(
  "set", [], "The request, as name=value,…: class=3,ink=0.5."
)
_GRID = flags.DEFINE_list(
  "grid", [], "Draw every level of one attribute, or every pair of two."
)
_SWEEP = flags.DEFINE_string(
  "sweep", "", "An attribute to move from its low to its high end."
)
_UNKNOWN = flags.DEFINE_list("unknown", [], "Attributes that are unknown.")
_COUNT = flags.DEFINE_integer(
  "count", None, "Number of samples, or of rows of a sweep.", lower_bound=1
)
_GUIDANCE = run_flags.guidance()
_PRIOR = run_flags.prior()
_TEMPERATURE = run_flags.temperature()
_SEED = command.define_seed("Seed of the latents.")


def main(_: list[str]) -> None:
  """Draw the figures, or what is asked for."""
  folder = command.path(_OUT, run_flags.outputs(_WORKDIR) / "figures")
  run = run_flags.load(_WORKDIR).with_prior(_PRIOR.value)
  run = run.with_temperature(_TEMPERATURE.value)
  run = run.with_guidance(_GUIDANCE.value)
  if any(flag.value for flag in (_SET, _GRID, _SWEEP, _UNKNOWN, _COUNT)):
    _draw_request(run, folder)
  else:
    _draw_figures(run, folder)


def _draw_figures(run, folder) -> None:
  """Draw all figures that a run has, a file each."""
  from cvae_jax import figures
  from cvae_jax.host import images, paths

  folder = paths.folder(folder, "--out")
  captions = figures.captions(run)
  for name, pictures in figures.draw(run, _SEED.value).items():
    path = folder / f"{name}.png"
    rows, columns = captions.get(name, ((), ()))
    images.save_grid(path, pictures, rows=rows, columns=columns)
    print(f"wrote {path}")


def _draw_request(run, folder) -> None:
  """Draw what is asked for in words into one file."""
  from cvae_jax.host import images
  from cvae_jax.loop.run import pictures

  picture = pictures.draw(
    run,
    run_flags.parse(run, _SET.name, ",".join(_SET.value)),
    grid=_GRID.value,
    sweep=_SWEEP.value,
    unknown=_UNKNOWN.value,
    count=_COUNT.value,
    seed=_SEED.value,
  )
  if picture.note:
    print(f"note: {picture.note}")
  is_file = folder.suffix and not folder.is_dir()
  path = folder if is_file else folder / "asked.png"
  images.save_grid(
    path, picture.images, rows=picture.rows, columns=picture.columns
  )
  print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
