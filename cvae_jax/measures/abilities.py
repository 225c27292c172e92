"""What a run can be asked for, and which labels it has never learnt."""

from cvae_jax.runs import Run


def askable(run: Run) -> bool:
  """Tell whether a run can be asked for anything."""
  read = run.conditions.attributes and "condition" in run.system.columns
  return bool(read or run.system.regions)


def borrows_labels(run: Run) -> bool:
  """Tell whether a bound would read labels that the run never learnt."""
  return run.system.unlabelled and run.condition_size > 0


def bounded_likelihood(run: Run) -> str:
  """Name the likelihood that the importance-weighted bound bounds."""
  if not run.condition_size:
    return "log p(x)"
  return "log p(x | y)" if run.system.classify else "log p(x | condition)"
