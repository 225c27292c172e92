"""Train a config, or go on with a run: the same command does both.

    python -m launch.train --config=configs/digits.py:smoke --workdir=runs/a
    python -m launch.train --workdir=runs/a --config.epochs=40

--config is a page, with variants behind a colon, or a run's config.json;
PAGE:help prints a page's variants and keys. A run's folder contains its config,
so --workdir alone is enough to go on. Every key of the config is a flag, as in
--config.optim.lr=0.001.
"""

import itertools
import os
import sys

from absl import flags
from ml_collections import config_flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_CHECK = flags.DEFINE_bool(
  "check_data", False, "Read all prepared images and compare their SHA-256."
)
_TRACK = flags.DEFINE_list(
  "track", [], "Trackers that show the run too: wandb, mlflow, trackio."
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator", "", "With several processes: host:port of process 0."
)
_PROCESSES = flags.DEFINE_integer("processes", 0, "Number of processes.")
_PROCESS = flags.DEFINE_integer("process", -1, "This process's number, from 0.")


def prepare(argv: list[str]) -> list[str]:
  """Define --config and its keys from the page that the words name.

  Raises:
    ConfigError: the page fails or has no such key, or there is neither a page
      nor a run.
  """
  from cvae_jax import config, settings
  from cvae_jax.apps import page_help
  from cvae_jax.host import flag_words, paths, plugins

  page, argv = flag_words.take(argv, "config")
  workdir, _ = flag_words.take(argv, "workdir")
  if page is None and workdir is not None:
    saved = paths.local(workdir, "--workdir") / "config.json"
    page = str(saved) if saved.exists() else None
  if page is None:
    if workdir and not any(word.startswith("--help") for word in argv):
      raise config.ConfigError(
        f"nothing has begun in {workdir}; give --config=PAGE to begin there, "
        "or the folder of what is to go on"
      )
    flags.DEFINE_string("config", None, "A page[:variants] or config.json.")
    return argv
  if "help" in page.partition(":")[2].split(","):
    print("\n".join(page_help.lines(page)))
    sys.exit(0)
  loaded = config.load_page(page)
  if not page.endswith(".json"):
    config.trust(loaded)
  argv = flag_words.keep_last(argv)
  for word in itertools.takewhile(lambda word: word != "--", argv[1:]):
    flag = flag_words.parse(word)
    if flag and flag.name.startswith("config."):
      settings.check_key(loaded, flag.name.removeprefix("config."))
  for name in ("config.system", "config.data.name"):
    plugins.trust(flag_words.take(argv, name)[0] or "")
  config_flags.DEFINE_config_dict(
    "config", loaded, lock_config=True, sys_argv=argv
  )
  return argv


def list_given() -> list[str]:
  """List the dotted keys of the config that flags set."""
  return [name[7:] for name in flags.FLAGS if name.startswith("config.")]


def main(_: list[str]) -> int:
  """Train; return PREEMPTED after a signal."""
  from cvae_jax import train
  from cvae_jax.host import console
  from cvae_jax.loop import hosts

  hosts.start(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  try:
    train.train_and_evaluate(
      flags.FLAGS.config,
      _WORKDIR.value,
      check_data=_CHECK.value,
      trust=False,  # prepare has trusted what the user named
      trackers=_TRACK.value,
      given=list_given(),
    )
  except train.Preempted as stop:
    console.say(f"{stop}; run the same command to go on.", sys.stderr)
    return command.PREEMPTED
  except hosts.Lost as lost:
    console.say(str(lost), sys.stderr)
    sys.stdout.flush()
    os._exit(command.PREEMPTED)  # jax would wait for the one that is lost
  return 0


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["config", "workdir"], prepare)
