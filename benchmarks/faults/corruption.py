"""Files of JSON that are damaged, in each of five ways and more."""

import functools

from benchmarks.faults import case
from benchmarks.faults.case import Group
from benchmarks.faults.judges import nothing, same_or_refused, works
from benchmarks.faults.room import contents

_group = Group("corruption")
faults = _group.faults

NEWEST = "checkpoints/12"
FILES = (
  "config.json",
  "conditions.json",
  "environment.json",
  "metrics.jsonl",
  f"{NEWEST}/counters/metadata",
  f"{NEWEST}/_CHECKPOINT_METADATA",
  f"{NEWEST}/state/_METADATA",
  f"{NEWEST}/state/_sharding",
  f"{NEWEST}/state/array_metadatas/process_0",
)
DAMAGES = {
  "empty": lambda old: b"",
  "cut in half": lambda old: old[: len(old) // 2],
  "NULs": lambda old: bytes(len(old)),
  "a list": lambda old: b"[]\n",
  "a number": lambda old: b"1\n",
  "null": lambda old: b"null\n",
  "not UTF-8": lambda old: b"\xff\xfe" + old,
  "removed": None,
}


def damage(path, how) -> None:
  """Damage a file in place; how=None removes it."""
  if how is None:
    path.unlink()
  else:
    path.write_bytes(how(path.read_bytes()))


def names_of(file: str) -> tuple[str, ...]:
  """Return what a message about a file may name: it or its checkpoint."""
  return (file.rpartition("/")[2], NEWEST, "checkpoint 12")


@functools.cache
def _whole(folder):
  """Return what `contents` makes of an undamaged run."""
  from cvae_jax import runs

  return contents(runs.load(folder))


def intact(room):
  """Return a test: is a loaded run what it is without the fault?"""
  right = _whole(room.base.half())
  return lambda value: value == right


def loading(file, how):
  """Return an action: damage a file of a run and load the run."""

  def act(room):
    run = room.copy()
    damage(run / file, how)
    done = room.load(run)
    if done.code == 0:
      done.value = [] if intact(room)(done.value) else ["another run"]
    return done

  return act


def resuming(file, how):
  """Return an action: damage a file of a half run and go on with it."""

  def act(room):
    run = room.copy()
    damage(run / file, how)
    return room.resume(run)

  return act


# What a run's reader never needs must not keep it from being read.
_LOGS = ("environment.json", "metrics.jsonl")

for _file in FILES:
  for _how in DAMAGES:
    _judge = same_or_refused(nothing, *names_of(_file))
    _name = f"{_file.rpartition('/')[2]} {_how}"
    _group.add(
      f"{_name}, then loaded",
      loading(_file, DAMAGES[_how]),
      works(nothing) if _file in _LOGS else _judge,
      quick=_how in ("empty", "NULs", "a list"),
    )
    _listed = _file.endswith("_CHECKPOINT_METADATA") and _how == "a list"
    _asked = _how in ("empty", "cut in half") or _listed
    if "checkpoints" in _file and not _asked:
      continue
    _wrong = case.LOSS if _file == "metrics.jsonl" else case.SILENT
    _judge = same_or_refused(nothing, *names_of(_file), wrong=_wrong)
    if _file == "environment.json":
      _judge = works(nothing)
    _group.add(f"{_name}, then resumed", resuming(_file, DAMAGES[_how]), _judge)
