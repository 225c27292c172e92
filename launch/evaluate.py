"""Score a run on its test split; writes scores.json and prints a table."""

import json
from pathlib import Path

from absl import flags

from launch import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to score.")
_JUDGE = flags.DEFINE_string(
  "judge", None, "A classifier's run; without one class control is left out."
)
_SAMPLES = flags.DEFINE_integer("samples", 50, "k of the IW bound.")
_PER_CLASS = flags.DEFINE_integer("per_class", 200, "Samples of each class.")
_SEED = flags.DEFINE_integer("seed", 0, "Of every random draw.")


def main(_: list[str]) -> None:
  """Scores the run."""
  from cvae_jax import runs, score
  from cvae_jax.files import write_atomically

  scores = score.score(
    runs.load(_WORKDIR.value),
    runs.load(_JUDGE.value) if _JUDGE.value else None,
    samples=_SAMPLES.value,
    per_class=_PER_CLASS.value,
    seed=_SEED.value,
  )
  path = Path(_WORKDIR.value) / "scores.json"
  write_atomically(path, json.dumps(scores, indent=2) + "\n")
  print(score.table(scores))
  if not _JUDGE.value:
    print(
      "class control not scored: train a judge with `make judge` and give "
      "--judge=runs/judge"
    )
  print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
