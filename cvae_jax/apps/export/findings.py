"""Copy the scores and the fitted priors of a run into its export.

Both belong to one state and contain its digest. They are found by the digest of
the run's state. They are written with the digest of the exported state, which
differs if weights are stored as 16-bit numbers or without the encoder.
"""

import dataclasses
from pathlib import Path
from typing import Any

from cvae_jax.loop.folder import exports
from cvae_jax.loop.run import fitted
from cvae_jax.measures import kept, score
from cvae_jax.metrics.aggregate import Aggregate
from cvae_jax.runs import Run


def find_scores(run: Run, lines: list[str]) -> dict[str, Any] | None:
  """Return the run's scores, None without; `lines` says why others stay out."""
  found = score.load_known(run)
  if found is not None:
    return found
  if kept.read(run.folder, score.NAME) is not None:
    lines.append("scores: left out; they are of another state of the run")
  elif kept.other_manners(run.folder, score.NAME):
    lines.append(
      "scores: left out; they are of samples of a fitted prior, a guidance or "
      "a temperature. Score the run without these, and export it again"
    )
  return None


def list_files(run: Run, scores: dict[str, Any] | None) -> list[str]:
  """Name the files that `write` writes."""
  return [*_find_priors(run), *([] if scores is None else [kept.FILE])]


def write(run: Run, folder: Path, scores: dict[str, Any] | None) -> None:
  """Write a run's scores and fitted priors into its export.

  Args:
    run: the whole run.
    folder: its export, whose weights are written.
    scores: the run's, if there are any.
  """
  priors = _find_priors(run)
  if scores is None and not priors:
    return
  branches = run.config.get("pretrained", {})
  held = {name: run.state.params.get(name) for name in branches}
  state = exports.read_state(folder, run.state, held)
  exported = dataclasses.replace(run, state=state)
  for name, prior in priors.items():
    fitted.write(folder / name, prior, fitted.identify(exported))
  if scores is not None:
    protocol = scores["protocol"] | kept.identify_state(exported)
    kept.write(folder, score.NAME, scores | {"protocol": protocol})


def _find_priors(run: Run) -> dict[str, Aggregate]:
  """Return the priors that were fitted to a run's state, by file name."""
  if not (paths := fitted.list_files(run.folder)):
    return {}
  state = fitted.identify(run)
  found = {path.name: fitted.read(path, state) for path in paths}
  return {name: prior for name, prior in found.items() if prior is not None}
