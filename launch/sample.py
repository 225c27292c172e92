"""Draw a run's figures as PNG: those of its data source."""

from absl import flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to draw from.")
_OUT = flags.DEFINE_string("out", None, "Folder; default <workdir>/figures.")
_SEED = command.seed("Of the latents.")


def main(_: list[str]) -> None:
  """Draw the figures."""
  from cvae_jax import figures, runs
  from cvae_jax.host import images

  run = runs.load(command.path(_WORKDIR))
  if line := runs.caution(run):
    print(line)
  # Not run.folder: a model that comes with the package lies inside it.
  folder = command.path(_OUT, command.path(_WORKDIR) / "figures")
  captions = figures.captions(run)
  for name, pictures in figures.draw(run, _SEED.value).items():
    path = folder / f"{name}.png"
    rows, columns = captions.get(name, ((), ()))
    images.save_grid(path, pictures, rows=rows, columns=columns)
    print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
