"""Put a run on the Hugging Face Hub, to be loaded by its name anywhere.

    hf auth login
    python -m launch.share --workdir=runs/digits --repo=user/digits

What goes there is what launch.export writes, and nothing else of the folder.
runs.load("hf://user/digits") reads it.
"""

from absl import flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run, or an export.")
_REPO = flags.DEFINE_string("repo", None, "user/name on the Hub.")
_PRIVATE = flags.DEFINE_bool(
  "private", False, "Only you may see a repository that is made."
)
_FORMATS = flags.DEFINE_list(
  "formats",
  ["safetensors", "onnx"],
  "By commas, of safetensors (always there), onnx and stablehlo.",
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
  """Share the run."""
  from cvae_jax import runs
  from cvae_jax.apps import hub

  run = runs.load(command.path(_WORKDIR), _STEP.value)
  if line := runs.caution(run):
    print(line)
  lines = hub.share(
    run,
    _REPO.value,
    private=_PRIVATE.value,
    formats=_FORMATS.value,
    half=_HALF.value,
    licence=_LICENCE.value,
    note=_NOTE.value,
  )
  print("\n".join(lines))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir", "repo"])
