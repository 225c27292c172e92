"""Write a run as one HTML file that shows what its conditions do.

    python -m launch.page --workdir=runs/digits --out=digits.html

The file needs no server and no network: open it, or send it. It is for every
system that decodes latents into images.
"""

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_OUT = flags.DEFINE_string(
  "out", None, "HTML file; default <workdir>/page.html."
)
_STEP = run_flags.step()


def main(_: list[str]) -> None:
  """Write the page."""
  from cvae_jax.apps.page import write

  out = command.path(_OUT, run_flags.outputs(_WORKDIR) / "page.html")
  run = run_flags.load(_WORKDIR, _STEP.value)
  print("\n".join(write.write(run, out)))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
