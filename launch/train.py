"""Train a config, or go on with a run: the same command does both.

    python -m launch.train --config=configs/digits.py:smoke --workdir=runs/a
    python -m launch.train --workdir=runs/a --config.epochs=40

--config is a page, with variants behind a colon, or a run's config.json;
PAGE:help prints a page's variants and keys. A run's folder knows its own:
--workdir alone goes on with it. Every key of the config is a flag,
--config.optim.lr=0.001.
"""

import os
import re
import sys

from absl import flags
from ml_collections import config_flags

from . import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_CHECK = flags.DEFINE_bool(
  "check_data", False, "Read all prepared images and compare their SHA-256."
)
_TRACK = flags.DEFINE_list(
  "track", [], "Show it in wandb, mlflow or trackio too; several by commas."
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator", "", "Of several processes: host:port of process 0."
)
_PROCESSES = flags.DEFINE_integer("processes", 0, "How many there are.")
_PROCESS = flags.DEFINE_integer("process", -1, "Which one this is, from 0.")
_NAMED = re.compile(r"--?(?P<name>[\w.]+)(=(?P<value>.*))?", re.DOTALL)


def prepare(argv: list[str]) -> list[str]:
  """Define --config and its keys from the page that the words name.

  Raises:
    ConfigError: the page fails or has no such key, or there is neither a page
      nor a run.
  """
  from cvae_jax import config, settings
  from cvae_jax.apps import page_help
  from cvae_jax.host import paths, plugins

  page, argv = take_flag(argv, "config")
  workdir, _ = take_flag(argv, "workdir")
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
  for word in argv[1:]:
    if word == "--":
      break
    if (match := _NAMED.fullmatch(word)) and match["name"][:7] == "config.":
      settings.check_key(loaded, match["name"][7:])
      if match["name"] in ("config.system", "config.data.name"):
        plugins.trust(match["value"])
  argv = _last_of_each(argv)
  config_flags.DEFINE_config_dict(
    "config", loaded, lock_config=True, sys_argv=argv
  )
  return argv


def _last_of_each(argv: list[str]) -> list[str]:
  """Keep the last word of each key of the config that comes several times.

  Of numbers and texts the last one holds. The values of a tuple would be
  joined instead: features=(8,) behind features=(4,) would be (4, 8).
  """
  kept = []
  seen = set()
  end = argv.index("--") if "--" in argv else len(argv)
  for word in reversed(argv[:end]):
    match = _NAMED.fullmatch(word)
    name = match["name"] if match and "=" in word else ""
    if not (name.startswith("config.") and name in seen):
      kept.append(word)
    seen.add(name)
  return [*reversed(kept), *argv[end:]]


def take_flag(argv: list[str], name: str) -> tuple[str | None, list[str]]:
  """Take a flag out of the words: (its last value or None, the others)."""
  value = None
  rest = []
  words = iter(argv)
  for word in words:
    match = _NAMED.fullmatch(word)
    if word == "--":
      return value, [*rest, word, *words]
    if match and match["name"] == name:
      value = match["value"] if "=" in word else next(words, "")
    else:
      rest.append(word)
  return value, rest


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
