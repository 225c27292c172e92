"""Write a run as one HTML file that shows what its conditions do.

    python -m launch.page --workdir=runs/digits --out=digits.html

The file needs no server and no network: open it, or send it. It is for every
system that decodes latents into images.
"""

from absl import flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_OUT = flags.DEFINE_string(
  "out", None, "HTML file; default <workdir>/page.html."
)
_STEP = flags.DEFINE_integer(
  "step", None, "A checkpoint's; default: the best or the latest."
)


def main(_: list[str]) -> None:
  """Write the page."""
  from cvae_jax import runs
  from cvae_jax.apps.page import write

  workdir = command.path(_WORKDIR)
  run = runs.load(workdir, _STEP.value)
  if line := runs.caution(run):
    print(line)
  out = command.path(_OUT, workdir / "page.html")
  print("\n".join(write.write(run, out)))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
