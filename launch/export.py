"""Write a run as one folder for other programs: weights, ONNX, a model card.

    python -m launch.export --workdir=runs/digits --out=exports/digits

The folder is read like a run (--workdir=exports/digits), without this code by
ONNX runtimes, and by NumPy (docs/handing_on.md).
"""

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_OUT = flags.DEFINE_string("out", None, "Folder; default <workdir>/export.")
_STEP = run_flags.step()
_CHOICES = run_flags.export(("safetensors", "onnx"))


def main(_: list[str]) -> None:
  """Export the run."""
  from cvae_jax.apps.export import write

  out = command.path(_OUT, run_flags.outputs(_WORKDIR) / "export")
  run = run_flags.load(_WORKDIR, _STEP.value)
  lines = write.export(run, out, **_CHOICES())
  print("\n".join(lines))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
