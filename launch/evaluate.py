"""Score a run on its test split; writes scores.json and prints a table."""

from absl import flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to score.")
_JUDGES = flags.DEFINE_list(
  "judge", [], "Runs that read attributes; what none reads is not scored."
)
_SAMPLES = flags.DEFINE_integer(
  "samples", 50, "k of the IW bound; 0: none.", lower_bound=0
)
_PER_CLASS = flags.DEFINE_integer(
  "per_class", 200, "Samples of each class or level.", lower_bound=1
)
_DATA = flags.DEFINE_string(
  "data", None, "Where the run's data are now, if not where it trained on them."
)
_SEED = command.seed("Of every random draw.")


def main(_: list[str]) -> None:
  """Score the run."""
  from cvae_jax import runs
  from cvae_jax.host import commands
  from cvae_jax.measures import score

  run = runs.load(command.path(_WORKDIR))
  if _DATA.value is not None:  # checked against the run's data.json
    run.config.data.path = str(command.path(_DATA))
  scores = score.score(
    run,
    [runs.load(folder) for folder in _JUDGES.value],
    samples=_SAMPLES.value,
    per_class=_PER_CLASS.value,
    seed=_SEED.value,
  )
  score.save(run, scores)
  print(score.table(scores))
  if not _JUDGES.value and score.askable(run):
    print(
      "control was not scored by a judge: train one (`make judge`; for faces "
      f"{commands.named('sweep')} --config=attributes) and give --judge=RUN,…"
    )
  print(f"wrote {run.folder / score.FILE}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
