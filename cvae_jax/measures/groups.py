"""Groups of runs that differ only in their seeds, and their statistics."""

import dataclasses
import fnmatch
from collections.abc import Sequence
from typing import Any

import pandas as pd

from cvae_jax.loop.folder.folders import Folder
from cvae_jax.measures import typeset

SHOWN = (
  "parameters",
  "epochs",
  "loss",
  "published",
  "test *",
  "FID *",
  "KID *",
  "seconds",
)
SEEDS = ("seed", "data.label_seed")
_WIDE = 6  # more differing keys than this have a table of their own


class ColumnError(ValueError):
  """Says which columns there are."""


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs whose configs differ in their seeds alone, at the same epoch."""

  label: str
  settings: dict[str, Any]  # of the keys that differ between groups
  rows: pd.DataFrame  # a row for each run, of table.collect
  runs: tuple[Folder, ...]


def group(table: pd.DataFrame, runs: dict[str, Folder]) -> list[Group]:
  """Put runs together whose configs differ in their seeds alone.

  Args:
    table: of table.collect; its column order is kept.
    runs: each of them by its name in the table.
  """
  keys = list(table.columns[1 : list(table.columns).index("parameters")])
  kept = [key for key in keys if key not in SEEDS]
  members: dict[str, list[int]] = {}
  for index, row in enumerate(table[[*kept, "epochs"]].to_dict("records")):
    members.setdefault(repr(row), []).append(index)
  found = []
  for indices in members.values():
    rows = table.iloc[indices]
    names = list(rows["run"])
    settings = {key: rows[key].iloc[0] for key in kept}
    folders = tuple(runs[name] for name in names)
    found.append(Group(_label(names), settings, rows, folders))
  return _make_unique(found)


def _make_unique(groups: Sequence[Group]) -> list[Group]:
  """Add the epoch, or a number, to labels that several groups have."""
  labels = [one.label for one in groups]
  found = []
  for one in groups:
    label = one.label
    if labels.count(label) > 1:
      label += f" (epoch {one.rows['epochs'].iloc[0]})"
    same = sum(other.label.startswith(label) for other in found)
    label += f" [{same + 1}]" if same and labels.count(one.label) > 1 else ""
    found.append(dataclasses.replace(one, label=label))
  return found


def _label(names: list[str]) -> str:
  """Return the common part of runs' names: model=2 for model=2,seed=0."""
  common = [
    word
    for word in names[0].split(",")
    if all(word in name.split(",") for name in names)
  ]
  return ",".join(common) if common else f"{names[0]} …"


def notes(groups: Sequence[Group]) -> list[str]:
  """Name the runs of a group that share a seed, which spoils their mean."""
  lines = []
  for one in groups:
    seeds = [tuple(_seeds(run)) for run in one.runs]
    twice = [
      name
      for name, seed in zip(one.rows["run"], seeds, strict=True)
      if seeds.count(seed) > 1
    ]
    if twice:
      lines.append(
        f"note: {', '.join(twice)} have the same config and seed; each counts "
        f"in the mean of {one.label}"
      )
  return lines


def _seeds(run: Folder) -> list[int | None]:
  return [run.config.get("seed"), run.config.data.get("label_seed")]


def summarise(groups: Sequence[Group], shown: Sequence[str]) -> pd.DataFrame:
  """Return a row of text for each group: mean ± deviation of its runs.

  Args:
    groups: of `group`.
    shown: patterns of the columns of figures.

  Raises:
    ColumnError: no column matches.
  """
  figures = _figures(groups, shown)
  rows = []
  for one in groups:
    row = {"run": one.label, "runs": len(one.runs)}
    if len(one.settings) <= _WIDE:
      row |= one.settings
    row |= {name: typeset.spread(list(one.rows[name])) for name in figures}
    rows.append({key: typeset.cell(value) for key, value in row.items()})
  return pd.DataFrame(rows)


def settings_table(groups: Sequence[Group]) -> pd.DataFrame | None:
  """Return many differing keys as a table of text, a key a row.

  It is None if `summarise` has them as columns.
  """
  if len(groups[0].settings) <= _WIDE:
    return None
  return pd.DataFrame(
    [
      {"key": key}
      | {one.label: typeset.cell(one.settings[key]) for one in groups}
      for key in groups[0].settings
    ]
  )


def means(groups: Sequence[Group]) -> pd.DataFrame:
  """Return a row of numbers for each group: mean and deviation of figures.

  The deviation is that of a sample (n − 1), nan for one run.
  """
  rows = []
  for one in groups:
    row = {"run": one.label, "runs": len(one.runs)} | one.settings
    for name in _figures(groups, ["*"]):
      values = one.rows[name].astype(float)
      row[f"{name} mean"] = values.mean()
      row[f"{name} deviation"] = values.std(ddof=1)
    rows.append(row)
  return pd.DataFrame(rows)


def _figures(groups: Sequence[Group], shown: Sequence[str]) -> list[str]:
  """Return the columns of figures that match a pattern and hold a value."""
  columns = list(groups[0].rows.columns)
  columns = columns[columns.index("parameters") :]
  found = [
    name
    for name in columns
    if any(fnmatch.fnmatch(name, pattern) for pattern in shown)
    and any(one.rows[name].notna().any() for one in groups)
  ]
  if not found:
    raise ColumnError(
      f"no column of figures is called {', '.join(shown)}; there are: "
      f"{', '.join(columns)}"
    )
  return found
