"""The plan of a study, and its differences from another one."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import config as configs, pages, settings
from cvae_jax.host import flag_words, plugins
from cvae_jax.host.console import say
from cvae_jax.host.files import DamagedFile, read_json

FILE = "study.json"  # in a study's folder
# Keys that may change when a study goes on: the path to the same data, and how
# often it logs and saves.
FREE = ("name", "log_every", "checkpoint_every", "keep", "data.path")
_NAMED = ("system", "data.name")  # keys that may name a user's own module

# Entries of a plan on which the runs of trials depend.
RUNS = frozenset({"config", "space", "seed"})


def plan(
  config: ConfigDict,
  page: str,
  space: Sequence[str],
  metric: str,
  direction: str,
  pruner: str,
  seed: int,
) -> dict[str, Any]:
  """Return what a study is begun with, and the words that ask for it again.

  Args:
    config: before a trial's values.
    page: where it is from.
    space: words of the space; none for the page's own.
    metric: of the evaluations, or score.….
    direction: min or max.
    pruner: median or none.
    seed: of the search.
  """
  base = dict(settings.leaves(json.loads(configs.to_json(config))))
  of_page = dict(settings.leaves(configs.load_page(page).to_dict()))
  changed = [
    f"--config.{key}={value}"
    for key, value in settings.leaves(config.to_dict())
    if of_page.get(key) != value
  ]
  found = {
    "metric": metric,
    "direction": direction,
    "pruner": pruner,
    "seed": seed,
  }
  words = [f"--space={word}" for word in space]
  words += [f"--{name}={value}" for name, value in found.items()]
  return {
    "config": {k: v for k, v in base.items() if k not in FREE},
    "space": list(space) or f"space(trial) of {page}",
    **found,
    "command": [f"--config={page}", *changed, *words],
  }


def load_words(folder: Path) -> list[str]:
  """Return the words that a folder's study was asked for with, or none."""
  path = Path(folder) / FILE
  if not path.exists():
    return []
  remedy = "give --config and --space again"
  found = read_json(path, dict, remedy).get("command")
  if not isinstance(found, list) or not all(isinstance(w, str) for w in found):
    raise DamagedFile(f"{path} is damaged: its command is {found!r}; {remedy}")
  return found


def check_trusted(folder: str, words: Sequence[str]) -> None:
  """Check that the words of a folder's study name no code of a user's own.

  Somebody who sends a folder could name any: a page is a program.

  Raises:
    Untrusted: they do.
  """
  page = (flag_words.take(words, "config")[0] or "").partition(":")[0]
  names = [flag_words.take(words, f"config.{key}")[0] for key in _NAMED]
  own = [name for name in names if name and "." in name]
  packaged = {path.resolve() for path in pages.list_packaged().values()}
  is_code = page and not page.endswith(".json")
  if is_code and Path(pages.find(page)).resolve() not in packaged:
    own.append(page)
  if own or "trust" in flag_words.named(words):
    raise plugins.Untrusted(
      f"the search in {folder} was begun with {', '.join(own) or '--trust'}, "
      "which runs code of its own; if you trust it, add --trust"
    )


def describe_difference(
  folder: Path, keys: list[str], old: Mapping, new: Mapping
) -> str:
  """Say how a study differs from what its folder holds."""
  lines = []
  for key in keys:
    before = old.get(key)
    after = new[key]
    if isinstance(before, Mapping) and isinstance(after, Mapping):
      lines += [
        f"{key}.{name}: {before.get(name)!r} → {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
      ]
    else:
      lines.append(f"{key}: {before!r} → {after!r}")
  return (
    f"{folder} holds another study; what differs:\n  "
    + "\n  ".join(lines)
    + "\nUse another --workdir, or go on with the study as it was begun."
  )


def check_folder(folder: Path) -> None:
  """Refuse the folder of a run: its trials' runs would lie in it.

  Raises:
    ConfigError: it is one.
  """
  if (folder / "config.json").exists() and not (folder / FILE).exists():
    raise settings.ConfigError(
      f"{folder} is the folder of a run; a search needs one of its own: give "
      "another --workdir"
    )


def set_aside(folders: Iterable[Path]) -> None:
  """Rename the runs of another plan's trials, and print their new names.

  0007 becomes 0007.old or, where that is taken, 0007.old2 and so on.
  """
  moved = []
  for folder in filter(Path.exists, folders):
    names = (f"{folder.name}.old{n or ''}" for n in (0, *range(2, 10_000)))
    free = next(p for p in map(folder.with_name, names) if not p.exists())
    moved.append(str(folder.rename(free)))
  if moved:
    say(
      f"note: the study begins anew by another plan; kept: {', '.join(moved)}"
    )


@contextlib.contextmanager
def explain_errors(path: Path) -> Iterator[None]:
  """Explain in one line that a study's database cannot be read.

  Raises:
    DamagedFile: it cannot.
  """
  try:
    yield
  except Exception as error:
    if type(error).__module__.partition(".")[0] != "sqlalchemy":
      raise
    raise DamagedFile(
      f"{path} cannot be read ({str(error).partition(chr(10))[0][:200]}); "
      "bring a copy of it back, or move it away: the trials' runs stay, and "
      "finished ones are not trained again"
    ) from None
