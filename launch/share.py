"""Put a run on the Hugging Face Hub; it can then be loaded by its name.

    hf auth login
    python -m launch.share --workdir=runs/digits --repo=user/digits

The command sends the files that launch.export writes, and no others.
runs.load("hf://user/digits") reads them.
"""

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run, or an export.")
_REPO = flags.DEFINE_string("repo", None, "user/name on the Hub.")
_PRIVATE = flags.DEFINE_bool(
  "private", False, "If a repository is created, only you may see it."
)
_STEP = run_flags.step()
_CHOICES = run_flags.export(("safetensors", "onnx"))


def main(_: list[str]) -> None:
  """Share the run."""
  from cvae_jax.apps import hub

  run = run_flags.load(_WORKDIR, _STEP.value)
  lines = hub.share(run, _REPO.value, private=_PRIVATE.value, **_CHOICES())
  print("\n".join(lines))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir", "repo"])
