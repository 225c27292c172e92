"""Turn requests in words into condition vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.requests import draw_rows
from cvae_jax.host.arguments import RunError, common_length
from cvae_jax.loop.folder.run_data import RunMismatch, load_data


class Asked(NamedTuple):
  """Condition vectors [N, A], and a note on attributes that were left out."""

  vectors: NDArray[np.float32]
  note: str = ""


def vectors(
  run: Any,
  given: Mapping[str, Any],
  count: int | None = None,
  seed: int = 0,
) -> Asked:
  """Build condition vectors [N, A] from a request in words.

  An attribute that is left out is unknown to a model that was trained with
  unknown values of it. Any other is drawn from the training rows, for each
  sample from another row, so that it is distributed as in real images.

  Args:
    run: a loop.drawn.Drawn, whose conditions have attributes.
    given: {attribute: value or N of them}, as `parse` returns it.
    count: N, of one request; None for as many as it has values.
    seed: of the draw.

  Raises:
    RunError: count does not fit.
    DataError: a value is unknown.
  """
  conditions = run.conditions
  lists = {n: conditions.attribute(n).as_list(v) for n, v in given.items()}
  rows = _count_rows(lists, count)
  table = {n: v * rows if len(v) == 1 else v for n, v in lists.items()}
  left = conditions.left_out(given)
  unknown = [name for name in left if name in run.unknowns]
  drawn = [name for name in left if name not in run.unknowns]
  notes = []
  if unknown:
    names = ", ".join(unknown)
    notes += [f"{names} left out: unknown to the model, which was trained so"]
  if not drawn:
    found = conditions.encode(table)
    return Asked(np.repeat(found, rows // max(1, len(found)), axis=0), *notes)
  found, where = _draw_values(run, rows, seed)
  names = ", ".join(drawn)
  notes += [f"{names} left out: drawn for each sample from {where}"]
  found = conditions.fill(found, dict.fromkeys(unknown))
  return Asked(conditions.fill(found, table), "; ".join(notes))


def may_be_unknown(config: ConfigDict, conditions: Any) -> tuple[str, ...]:
  """Name the attributes of which training saw unknown values.

  A model has never seen an unknown value of the others.
  """
  if not getattr(conditions, "known_bits", False):
    return ()
  rows = conditions.training_conditions()
  if rows is None or config.data.get("condition_dropout", 0.0):
    return conditions.asked
  return tuple(
    name for name in conditions.asked if not conditions.known(rows, name).all()
  )


def parse(run: Any, request: Mapping[str, Any] | str) -> dict[str, Any]:
  """Return a request as {attribute: value}.

  Args:
    run: a loop.drawn.Drawn.
    request: {attribute: value or N of them}, or text.

  Raises:
    RunError: the run can be asked for nothing, or a value may not be unknown.
    DataError: a name or a value is unknown.
  """
  if not run.asks:
    if request:
      raise RunError(_unasked(run))
    return {}
  if isinstance(request, str):
    request = run.conditions.parse(request)
  _check_known(run, request)
  return dict(request)


def _unasked(run: Any) -> str:
  """Say why a run cannot be asked for anything."""
  if not getattr(run.conditions, "attributes", ()):
    return (
      f"{run.folder} is conditioned on nothing, so nothing can be asked of it"
    )
  text = (
    f"{run.folder}: the decoder of its system, {run.config.system!r}, reads no "
    "condition, so nothing can be asked of it"
  )
  if run.system.encode is None or run.system.posterior is not None:
    return text
  return f"{text}; a fitted prior (prior=fitted) draws latents by a condition"


def _check_known(run: Any, request: Mapping[str, Any]) -> None:
  """Check that a request has no unknown value that training never saw.

  Raises:
    RunError: it has one.
    DataError: there is no such attribute.
  """
  for name, values in request.items():
    attribute = run.conditions.attribute(name)
    known = all(attribute.known(value) for value in attribute.as_list(values))
    if not known and name not in run.unknowns:
      raise RunError(
        f"{run.folder} was trained with every {name} known, so it cannot be "
        f"unknown; {run.conditions.describe(name)}. Leave it out of a request "
        "for samples to have it drawn, or train with "
        "--config.data.condition_dropout=0.1"
      )


def complete(run: Any, given: Mapping[str, Any]) -> dict[str, Any]:
  """Return what an image shows, with None for attributes that are left out.

  Args:
    run: a loop.drawn.Drawn, whose conditions have attributes.
    given: {attribute: value or N of them}.

  Raises:
    DataError: an attribute is left out that may not be unknown.
  """
  left = run.conditions.left_out(given)
  if absent := [name for name in left if name not in run.unknowns]:
    raise DataError(
      f"{', '.join(absent)}: no value was given, and this model was trained "
      "with all of them known; say what the image shows: "
      + "; ".join(run.conditions.describe(name) for name in absent)
    )
  return {**given, **dict.fromkeys(left)}


def _count_rows(lists: Mapping[str, Sequence[Any]], count: int | None) -> int:
  """Return how many rows a request's values make.

  Raises:
    RunError: the lengths of the lists differ, or are not `count`.
  """
  lengths = [len(values) for values in lists.values()]
  rows = common_length(lengths if count is None else [*lengths, count])
  if rows is None or (count == 1 and rows != 1):
    found = [f"{len(v)} values of {n}" for n, v in lists.items() if len(v) != 1]
    found += [] if count is None else [f"count={count}"]
    raise RunError(
      f"each attribute has one value or as many as samples; found "
      f"{', '.join(found)}"
    )
  return rows


def _draw_values(
  run: Any, count: int, seed: int
) -> tuple[NDArray[np.float32], str]:
  """Draw conditions [count, A] of training rows; also return their origin."""
  if run.conditions.training_conditions() is not None:
    return run.conditions.draw(count, seed), "the training rows"
  try:
    rows = load_data(run.folder, run.config.data).train["condition"]
  except (DataError, RunMismatch, OSError):
    where = "all that can be asked for, as the run's data are not here"
    return run.conditions.draw(count, seed), where
  return draw_rows(np.asarray(rows), count, seed), "the training rows"
