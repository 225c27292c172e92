"""Score a run: likelihood, reconstruction, control, latents, categories."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cvae_jax.data import Dataset
from cvae_jax.host import commands
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run import fitted, posteriors, purposes
from cvae_jax.measures import control, kept, likelihood, regions
from cvae_jax.measures.abilities import (
  askable,
  bounded_likelihood,
)
from cvae_jax.measures.earlier import Merged, comparable, merge
from cvae_jax.measures.judges import load_training_data
from cvae_jax.measures.score_text import explain_missing, warnings
from cvae_jax.metrics import clusters
from cvae_jax.runs import Run, RunError

NAME = "scores"  # of the section in a run's measures.json
PER_CLASS = 200  # generated images of each class or level


def score(
  run: Run,
  judges: Sequence[Run] = (),
  *,
  samples: int = likelihood.SAMPLES,
  per_class: int = PER_CLASS,
  seed: int = 0,
  dataset: Dataset | None = None,
) -> dict[str, Any]:
  """Score a run on its data's test split.

  Args:
    run: a run that encodes and decodes. What its system cannot answer is
      None, and `explain_missing` says why.
    judges: runs of the judge or attribute system; what none of them reads is
      not scored, unless the data source measures it itself (the digits' ink).
    samples: k of the importance-weighted bound; 0 leaves it out.
    per_class: generated images of each class or level that is asked for.
    seed: of every random draw here.
    dataset: the data, of a run whose data were handed in as arrays; the
      judges' too.

  Raises:
    RunError: the run encodes no images, its data have no test split, or the
      judges do not fit.
  """
  control.check_judges(judges)  # now, and not after minutes of scoring
  if run.system.encode is None or "image" not in run.system.columns:
    raise RunError(
      f"{run.folder}: a {run.config.system} encodes no images, which is what "
      f"is scored here; {purposes.purpose(run)}{_other_scores(run)}"
    )
  given = dataset is not None
  dataset = load_data(run.folder, run.config.data, dataset)
  if dataset.test is None:
    raise RunError(
      f"{run.folder}: its data have no test split to score on; bring the "
      "test files (data/README.md)"
    )
  test = dataset.test
  terms, errors, gaps = likelihood.measure(run, test, samples, seed)
  scores = {
    "protocol": protocol(run, judges, samples, per_class, seed)
    | {"test_examples": len(test["condition"])},
    "test": terms,
    "standard_errors": errors,
    "iw_samples": samples if "iw_bound" in terms else 0,
    "iw_of": bounded_likelihood(run) if "iw_bound" in terms else None,
    "condition_gap_nats": gaps and gaps.pop("all"),
    "attribute_gap_nats": gaps or None,
    **_latents(run, test),
    "categories": _categories(run, test),
    "unlabelled": run.system.unlabelled,
    **_control(run, judges, dataset, per_class, seed, given),
  }
  scores["unscored"] = explain_missing(run, scores, samples)
  scores["warnings"] = warnings(scores)
  return scores


def _other_scores(run: Run) -> str:
  """Name the command that scores a run which encodes no images."""
  if purposes.colours(run):
    command = commands.format_command("colourise")
    return f"; without --image {command} scores it"
  if run.system.decode is None:
    return ""
  command = commands.format_command("report")
  return f"; {command} compare scores it, and --inception=FILE its samples"


def save(run: Run, scores: Mapping[str, Any]) -> Merged:
  """Write a run's scores into its measures.json, beside earlier ones.

  What was measured before of the same state, and is not measured now, stays
  where it holds for today's protocol.
  """
  found = merge(scores, load_known(run))
  kept.write(run.folder, kept.section(run, NAME), found.scores)
  return found


def protocol(
  run: Run,
  judges: Sequence[Run] = (),
  samples: int = likelihood.SAMPLES,
  per_class: int = PER_CLASS,
  seed: int = 0,
) -> dict[str, Any]:
  """Return what a run's scores depend on: states, judges, counts and seed.

  Judges matter only if the run can be asked for something. A state is
  identified by its step and its digest, so a run or a judge that was trained
  again counts as another one.
  """
  used = sorted(judges, key=lambda j: str(j.folder)) if askable(run) else []
  return {
    **_state(run),
    "judges": [_state(judge) for judge in used],
    "samples": samples,
    "per_class": per_class,
    "seed": seed,
  }


def _state(run: Run) -> dict[str, Any]:
  return {"run": str(run.folder), **kept.identify_state(run)}


def load_known(run: Run) -> dict[str, Any] | None:
  """Return the scores in a run's folder, None if they are of another state.

  They may be of any protocol, which they hold.
  """
  found = kept.read(run.folder, kept.section(run, NAME)) or {}
  of = found.get("protocol", {}).get
  alike = all(of(k) == v for k, v in kept.identify_state(run).items())
  return found if alike else None


def load_or_measure(
  run: Run, judges: Sequence[Run] = (), **counts
) -> dict[str, Any]:
  """Return the scores in a run's folder; measure them if they are not there.

  Those of another protocol do not count: of another state of the run, of
  other judges or of other numbers.

  Args:
    counts: samples, per_class and seed, as in `score`.
  """
  wanted = comparable(protocol(run, judges, **counts))
  if not wanted["judges"]:
    del wanted["judges"]  # scores with judges hold those without, too
  found = load_known(run)
  if found and comparable(found["protocol"]).items() >= wanted.items():
    return found
  return save(run, score(run, judges, **counts)).scores


def _control(
  run: Run, judges, dataset, count: int, seed: int, given: bool
) -> dict[str, Any]:
  if run.system.regions:
    return regions.score(run, judges, count, seed)
  if not askable(run):
    return {"control": {}, "leakage": None}
  trained = [dataset.train] * len(judges)
  if not given:
    trained = load_training_data(judges, run, dataset.train)
  return control.score(run, judges, dataset.test, count, seed, trained)


def _latents(run: Run, test) -> dict[str, Any]:
  """Return how much of the latents is used, and what a fitted prior gains."""
  given = (test["image"], np.asarray(test["condition"]))
  q = run.encode(*given)
  found = {"latents": posteriors.measure_usage(run, *given, q)}
  if run.fitted is not None:
    observed = posteriors.encode_observed(run, *given, q)
    found["fitted"] = fitted.compare_to_prior(run, observed, given[1])
  return found


def _categories(run: Run, test) -> dict[str, Any] | None:
  """Compare q(y | x) with the labels, if there are both."""
  if run.system.classify is None or "label" not in test:
    return None
  category = run.classify(test["image"]).argmax(axis=-1)
  return clusters.purity(category, test["label"])
