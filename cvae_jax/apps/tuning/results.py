"""What a study found: a table, the best config, and Optuna's plots."""

import warnings
from pathlib import Path

import pandas as pd

from cvae_jax.apps.tuning.study import Study
from cvae_jax.host.files import write_atomically

TABLE = "trials.csv"
BEST = "best.json"  # a config, for launch.train --config=
PLOTS = "plots.html"
_STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}


def table(study: Study) -> pd.DataFrame:
  """Return a row for each trial: number, state, value, keys' values, why."""
  metric = study.plan["metric"]
  rows = []
  for trial in study.trials:
    why = trial.user_attrs.get("why", "")
    state = _STATES.get(trial.state.name, trial.state.name.lower())
    if state == "pruned" and why:
      state = "diverged"
    shown = trial.value if state == "done" else None
    if state == "pruned" and trial.intermediate_values:
      shown = trial.intermediate_values[max(trial.intermediate_values)]
    own = {"trial": trial.number, "state": state, metric: shown}
    own["epochs"] = max(trial.intermediate_values, default=None)
    ends = {"seconds": _seconds(trial), "why": why}
    # A key may be called so, too: that of the config's epochs.
    taken = own.keys() | ends.keys()
    keys = {
      f"config.{key}" if key in taken else key: value
      for key, value in trial.params.items()
    }
    rows.append(own | keys | ends)
  found = pd.DataFrame(rows)
  return (
    found
    if len(found) == 0 or found["why"].any()
    else found.drop(columns="why")
  )


def _seconds(trial) -> float | None:
  """Return the time from a trial's first launch to its end."""
  return round(trial.duration.total_seconds(), 1) if trial.duration else None


def text(study: Study) -> str:
  """Return the table for people, the best trials first."""
  found = table(study)
  if found.empty:
    return "no trial yet"
  metric = study.plan["metric"]
  up = study.plan["direction"] == "min"
  done = found[found.state == "done"].sort_values(metric, ascending=up)
  shown = pd.concat([done, found[found.state != "done"].astype(object)])
  lines = shown.drop(columns="why", errors="ignore").to_string(
    index=False, na_rep="", float_format="{:.5g}".format
  )
  notes = [
    f"trial {row.trial} {row.state}: {row.why[:100]}"
    for row in found.itertuples()
    if getattr(row, "why", "")
  ]
  return "\n".join([lines, *notes])


def count_running(study: Study) -> int:
  """Return how many trials other processes work on."""
  return sum(trial.state.name == "RUNNING" for trial in study.trials)


def save(study: Study) -> list[Path]:
  """Write the table and the best config; return what was written."""
  written = [study.folder / TABLE]
  write_atomically(written[0], table(study).to_csv(index=False))
  if study.best is not None:
    config = study.run_folder(study.best) / "config.json"
    written.append(study.folder / BEST)
    write_atomically(written[1], config.read_text(encoding="utf-8"))
  return written


def plots(study: Study) -> Path | None:
  """Write Optuna's plots as one HTML page that needs no network.

  None: plotly is not installed, or no trial is finished.
  """
  try:
    import plotly.graph_objects  # noqa: F401
    from optuna import visualization as drawn
  except ImportError:
    return None
  if study.best is None:
    return None
  several = len([t for t in study.trials if t.state.name == "COMPLETE"]) > 1
  target = {"target_name": study.plan["metric"]}
  made = [
    lambda: drawn.plot_optimization_history(study.inner, **target),
    lambda: drawn.plot_slice(study.inner, **target),
    lambda: drawn.plot_intermediate_values(study.inner),
  ]
  if several:
    made.insert(1, lambda: drawn.plot_param_importances(study.inner, **target))
    made.append(lambda: drawn.plot_parallel_coordinate(study.inner, **target))
  parts = []
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Optuna's, of experimental parts
    for make in made:
      try:
        figure = make()
      except (ValueError, RuntimeError):  # too few trials, or all alike
        continue
      parts.append(figure.to_html(full_html=False, include_plotlyjs=not parts))
  path = study.folder / PLOTS
  page = "<!doctype html><meta charset='utf-8'><title>{}</title>{}\n"
  title = f"{study.plan['metric']} of {len(study.trials)} trials"
  write_atomically(path, page.format(title, "\n".join(parts)))
  return path
