"""Tabulate runs: in what they differ, and what they reached."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cvae_jax import settings
from cvae_jax.host import images, lock
from cvae_jax.host.files import write_atomically
from cvae_jax.loop.folder import folders
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.loop.folder.rows import first_player
from cvae_jax.measures import (
  curves,
  entries,
  fid_columns,
  groups,
  typeset,
  verify,
)
from cvae_jax.measures.gather import find as find, find_with_notes

_ADDRESS = ("step", "split", "epoch")  # columns of a row that are no figures


class TableError(ValueError):
  """Says why there is nothing to tabulate."""


def has_own_folder(place: Path) -> bool:
  """Tell whether a place is a folder of runs: its tables are written there."""
  is_run = (place / "config.json").exists()
  return place.is_dir() and not is_run and bool(folders.below(place))


def collect(*places: str | Path) -> pd.DataFrame:
  """Return a row for each run with a finished epoch: its last epoch.

  Columns: run, the config keys that differ between the runs ("config.epochs"
  where a figure has the key's name), parameters, epochs, loss, published, each
  other training term, every figure of the last evaluation as "test <name>",
  FID and KID where launch.evaluate measured them (fid_columns.read),
  examples/s, seconds (of training, evaluating and compiling, up to the latest
  checkpoint; what a kill took back does not count) and launches (more than 1:
  the run was interrupted). Runs in natural order.

  Raises:
    TableError: there is no run with a finished epoch.
  """
  return _collect(places, find(places))


def _collect(
  places: Sequence[str | Path], found: Mapping[str, Folder]
) -> pd.DataFrame:
  ended = {name: run for name, run in found.items() if run.split("epoch")}
  if not ended:
    lines = describe_unfinished(places, found)
    begun = "".join(f"\n  {line}" for line in lines)
    where = ", ".join(map(str, places))
    raise TableError(f"no run with a finished epoch in {where}{begun}")
  rows = [_row(run) for run in ended.values()]
  figures = {name for row in rows for name in row}
  differing = differences(list(ended.values()))
  table = []
  for name, keys, row in zip(ended, differing, rows, strict=True):
    asked = {
      f"config.{key}" if key in figures else key: value
      for key, value in keys.items()
    }
    table.append({"run": name} | asked | row)
  return pd.DataFrame(table)


def differences(runs: Sequence[Folder]) -> list[dict[str, Any]]:
  """Return the config keys that differ between runs, with each run's values.

  None stands for a key that a run's config does not have.
  """
  flat = [dict(settings.leaves(run.config.to_dict())) for run in runs]
  keys = dict.fromkeys(key for config in flat for key in config)
  differing = [
    key
    for key in keys
    if key not in entries.WITHOUT_EFFECT
    and any(c.get(key) != flat[0].get(key) for c in flat[1:])
  ]
  return [{key: config.get(key) for key in differing} for config in flat]


def _row(run: Folder) -> dict[str, Any]:
  """Return the figures of a run."""
  epoch = run.split("epoch")[-1]
  test = run.result("test")
  train = (run.split("train") or [{}])[-1]
  player = first_player(epoch)
  terms = {
    key.removeprefix(f"{player}/"): value
    for key, value in epoch.items()
    if key.startswith(f"{player}/") and key != f"{player}/gradient_norm"
  }
  reached = round(epoch["epoch"])
  return {
    "parameters": run.parameters,
    "epochs": reached,
    "loss": terms.pop("loss"),
    "published": verify.curve(run.config).get(reached),
    **terms,
    **{f"test {k}": v for k, v in test.items() if k not in _ADDRESS},
    **fid_columns.read(run),
    "examples/s": train.get("time/examples_per_second"),
    "seconds": run.seconds,
    "launches": len(run.launches),
  }


def describe_unfinished(
  places: Sequence[str | Path], runs: Mapping[str, Folder]
) -> list[str]:
  """Say how far each unfinished run of some places has come.

  A folder in which a launch failed before there was a run counts, too.

  Args:
    places: folders of runs.
    runs: the runs in them, as `gather.find` returns them.
  """
  begun = {run.path for run in runs.values()}
  lines = [
    f"{name}: {_progress(run)}" for name, run in runs.items() if not run.done
  ]
  for place in places:
    for path in sorted(Path(place).glob(f"*/{lock.FILE}"), key=folders.natural):
      if path.parent not in begun:
        lines.append(f"{path.parent.name}: {_NOTHING}")
  return lines


_NOTHING = "failed or stopped before its first metrics"


def _progress(run: Folder) -> str:
  if run.exported:
    return f"an export, {entries.NO_CURVE}"
  if not run.rows:
    return _NOTHING
  last = run.rows[-1]
  return (
    f"not finished, at step {last['step']}, epoch {last.get('epoch', 0):g} of "
    f"{run.config.epochs}"
  )


def write(
  places: Sequence[str | Path],
  out: str | Path | None = None,
  shown: Sequence[str] = groups.SHOWN,
) -> str:
  """Tabulate runs and draw their curves; return the table as text.

  Args:
    places: folders of runs, or runs.
    out: a folder for table.csv and table.json (each run), means.csv, table.md
      and table.tex (means over seeds), curves.png and curves.pdf. Without one
      nothing is written.
    shown: patterns of the columns of figures in the text, table.md, table.tex.

  Raises:
    TableError: there is no run with a finished epoch, or no such column.
  """
  runs, left_out = find_with_notes(places)
  table = _collect(places, runs)
  found = groups.group(table, runs)
  summary = groups.summarise(found, shown)
  settings_ = groups.settings_table(found)
  parts = [part for part in (settings_, summary) if part is not None]
  notes = [*groups.notes(found), *fid_columns.describe_old(runs)]
  notes += [*left_out, *describe_unfinished(places, runs)]
  if out is not None:
    folder = Path(out)
    rows = json.loads(table.to_json(orient="records"))
    texts = {
      "table.csv": table.to_csv(index=False),
      "table.json": json.dumps(rows, indent=2) + "\n",
      "means.csv": groups.means(found).to_csv(index=False),
      "table.md": "\n\n".join(map(typeset.markdown, parts)) + "\n",
      "table.tex": "\n".join(map(typeset.latex, parts)),
    }
    for name, text in texts.items():
      write_atomically(folder / name, text)
    figure = curves.figure({one.label: one.runs for one in found})
    for ending in ("png", "pdf"):
      images.save_figure(folder / f"curves.{ending}", figure)
  return "\n\n".join(map(typeset.text, parts)) + "".join(
    f"\n{note}" for note in notes
  )
