"""Write a run as one folder for other programs: weights, ONNX, a model card.

    python -m launch.export --workdir=runs/digits --out=exports/digits

The folder is read like a run (--workdir=exports/digits), without this code by
ONNX runtimes, and by NumPy (docs/handing_on.md).
"""

from absl import flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run.")
_OUT = flags.DEFINE_string("out", None, "Folder; default <workdir>/export.")
_FORMATS = flags.DEFINE_list(
  "formats",
  ["safetensors", "onnx"],
  "By commas, of safetensors (always written), onnx and stablehlo.",
)
_STEP = flags.DEFINE_integer(
  "step", None, "A checkpoint's; default: the best or the latest."
)
_HALF = flags.DEFINE_bool(
  "half", False, "Store the weights as 16-bit numbers, half the size."
)
_LICENCE = flags.DEFINE_string(
  "licence", "", "Of the weights, for the model card, as in cc-by-4.0."
)
_NOTE = flags.DEFINE_string(
  "note", "", "A paragraph for the model card: purpose, credits, limits."
)


def main(_: list[str]) -> None:
  """Export the run."""
  from cvae_jax import runs
  from cvae_jax.apps.export import write

  workdir = command.path(_WORKDIR)
  run = runs.load(workdir, _STEP.value)
  if line := runs.caution(run):
    print(line)
  lines = write.export(
    run,
    command.path(_OUT, workdir / "export"),
    _FORMATS.value,
    half=_HALF.value,
    licence=_LICENCE.value,
    note=_NOTE.value,
  )
  print("\n".join(lines))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
