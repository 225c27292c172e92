"""Do draws from the region of a class in the prior show that class?

A system without a condition can be asked for a class, too, if training gave
each class a region of the prior (the label-aware AAE).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cvae_jax.metrics import control
from cvae_jax.runs import Run, RunError


def score(
  run: Run, judges: Sequence[Run], count: int, seed: int
) -> dict[str, Any]:
  """Score the control of the class; see `control.score` for the form.

  Args:
    run: a run whose system has `regions`.
    judges: runs of the judge or attribute system; the last that fits counts.
    count: draws of each class, on average.
    seed: of every random draw here.

  Raises:
    RunError: a judge reads other classes than the prior has places for.
  """
  found = {}
  for judge in judges:
    z, label = run.regions(10 * count, seed)
    images = run.decode(z, run.conditions.blank(len(z)))
    read = judge.predict(np.clip(images, 0.0, 1.0))  # the range of a picture
    if read.shape[1] <= label.max():
      raise RunError(
        f"judge {judge.folder} reads {read.shape[1]} classes; the prior of "
        f"{run.folder} has places for {label.max() + 1}"
      )
    figures = control.score_hits(label, read) | {"samples": len(label)}
    found["class"] = {"sweep": figures, "judge": str(judge.folder)}
  return {"control": found, "leakage": None}
