r"""Search a page's keys for the best run: many short trainings, with Optuna.

    python -m launch.tune --config=zoo:vae --workdir=runs/tune --trials=50 \
      --space="config.optim.lr=log:1e-4..1e-2" \
      --space="config.model.latents=int:2..50" --metric=loss

Each trial is a run in <workdir>/0000 and so on. --space, or the page's own
function space(trial), says which keys may change. After any interruption the
same command, or --workdir alone, goes on with the study. If you start the same
command in several terminals, they share the work. The best config is written to
<workdir>/best.json, for launch.train --config=.
"""

import sys
from typing import Any

from absl import flags

from . import command, train as training

_TRIALS = flags.DEFINE_integer(
  "trials", 20, "Trials of the study in all.", lower_bound=1
)
_SPACE = flags.DEFINE_multi_string(
  "space", [], "A key and its values: config.optim.lr=log:1e-4..1e-2."
)
_METRIC = flags.DEFINE_string(
  "metric",
  "loss",
  "A name in the valid or test rows, or score.NAME for a figure of "
  "launch.evaluate.",
)
_DIRECTION = flags.DEFINE_enum(
  "direction", "min", ["min", "max"], "Whether less or more of it is better."
)
_PRUNER = flags.DEFINE_enum(
  "pruner", "median", ["median", "none"], "What ends a trial early."
)
_SEED = command.define_seed("Seed of the search; the runs use config.seed.")
flags.adopt_module_key_flags(training)
_OF_TRAIN = ("check_data", "coordinator", "processes", "track")


_page: list[str] = []  # that --config names
_typed: list[str] = []  # flags of the command itself


def prepare(argv: list[str]) -> list[str]:
  """Take what a study's folder knows, then define the config's flags.

  Raises:
    ConfigError: the page fails or has no such key.
  """
  from cvae_jax.apps.tuning import plans
  from cvae_jax.host import flag_words, paths

  _typed[:] = flag_words.named(argv[1:])
  page, _ = flag_words.take(argv, "config")
  workdir, _ = flag_words.take(argv, "workdir")
  if page is None and workdir is not None:
    known = plans.load_words(paths.local(workdir, "--workdir"))
    if "trust" not in _typed:
      plans.check_trusted(workdir, known)
    argv = [argv[0], *known, *argv[1:]]
    page, _ = flag_words.take(argv, "config")
  _page[:] = [page]
  return training.prepare(argv)


def main(words: list[str]) -> int:
  """Search; return PREEMPTED after a signal."""
  from cvae_jax import train
  from cvae_jax.apps.tuning import plans, search, space, study
  from cvae_jax.host import console

  given = {name: flags.FLAGS[name].value for name in _OF_TRAIN}
  _check(words, given)
  by_hand = training.list_given()

  def one(config, folder, trackers):
    return train.train_and_evaluate(
      config,
      folder,
      check_data=given["check_data"],
      trust=False,  # prepare has trusted what the user named
      trackers=(*trackers, *given["track"]),
      given=by_hand,
    )

  config, (page,) = flags.FLAGS.config, _page
  found = space.choose_space(_SPACE.value, page, config, by_hand, _typed)
  plan = plans.plan(
    config,
    page,
    _SPACE.value,
    _METRIC.value,
    _DIRECTION.value,
    _PRUNER.value,
    _SEED.value,
  )
  own = study.Study(command.path(flags.FLAGS["workdir"]), plan)
  try:
    search.search(own, config, found, _TRIALS.value, one)
  except train.Preempted as stop:
    console.say(f"{stop}; run the same command to go on.", sys.stderr)
    return command.PREEMPTED
  _report(own)
  return 0


def _check(words: list[str], given: dict[str, Any]) -> None:
  """Refuse what a search does not read or cannot use, and a wrong direction.

  Raises:
    ConfigError: there is one.
  """
  from cvae_jax.loop import watch
  from cvae_jax.settings import ConfigError

  metric = _METRIC.value
  grows = watch.MODES.get(metric.rpartition(".")[2]) == "max"
  if grows and not flags.FLAGS["direction"].present:
    raise ConfigError(
      f"more of {metric} is better, and a search looks for less unless told: "
      "give --direction=max, or --direction=min if less is meant"
    )
  if words:
    raise ConfigError(
      f"found {words[0]!r}, which a search does not read; give the flags of "
      "its trainings without a -- before them"
    )
  if given["coordinator"] or given["processes"]:
    raise ConfigError(
      "a search trains each trial in one process; to share its trials start "
      "the same command several times"
    )


def _report(own) -> None:
  """Write and print what the study found."""
  from cvae_jax.apps.tuning import results
  from cvae_jax.host import console

  written = results.save(own)
  if plots := results.plots(own):
    written.append(plots)
  console.say(results.text(own))
  if under_way := results.count_running(own):
    console.say(f"{under_way} trials are under way in other processes")
  for path in written:
    console.say(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["config", "workdir"], prepare, words=True)
