"""The likelihood of test images, and what it loses without conditions."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop import evaluate, keys
from cvae_jax.loop.evaluate import Estimate
from cvae_jax.loop.feed import Feed, check
from cvae_jax.measures.abilities import borrows_labels
from cvae_jax.metrics import bounds
from cvae_jax.runs import VALUES, Run

SAMPLES = 50  # of the importance-weighted bound, where no number is given
# Figures of q(y | x), which mean nothing if no label was used.
BY_LABEL = ("error", "labelled", "cross_entropy")


class Likelihood(NamedTuple):
  """What `measure` finds of a test split."""

  terms: dict[str, float]  # means over its images
  errors: dict[str, float | None]  # standard errors of these means
  # {"all": nats that are lost when conditions are permuted}, and of several
  # attributes the nats of each one that is permuted alone.
  gaps: dict[str, float] | None


def measure(
  run: Run, test: Mapping[str, NDArray], samples: int, seed: int
) -> Likelihood:
  """Measure the test means, and the nats lost when conditions are permuted.

  There are no such nats without an ELBO, or if it does not read the condition:
  M2's ELBO sums over all labels. Then it tells nothing of the condition's use.

  Args:
    run: it encodes images.
    test: the columns of the split.
    samples: k of the importance-weighted bound; 0 leaves it out.
    seed: of the noise and of the permutation.
  """
  key = keys.address(seed, "evaluate")
  split = Feed(check(test, run.system.columns), mesh=run.mesh)
  estimate = evaluate.make_estimate(run.system.evaluate)
  found = estimate(run.placed, split, run.config.batch_size, key)
  if run.system.unlabelled:
    found = {k: v for k, v in found.items() if k not in BY_LABEL}
  if samples and run.system.nats and not borrows_labels(run):
    found |= _bound(run, split, samples, key)
  terms = {name: value.mean for name, value in found.items()}
  errors = {name: value.error for name, value in found.items()}
  if "elbo" not in terms:
    return Likelihood(terms, errors, None)

  def elbo(condition: NDArray) -> float:
    columns = Feed(split.columns | {"condition": condition}, mesh=run.mesh)
    changed = estimate(run.placed, columns, run.config.batch_size, key)
    return changed["elbo"].mean

  given = test["condition"]
  order = np.random.default_rng(seed).permutation(len(given))
  gaps = {"all": terms["elbo"] - elbo(given[order])}
  if not gaps["all"] and np.isfinite(elbo(np.full_like(given, np.nan))):
    return Likelihood(terms, errors, None)
  for name, entries in _attributes(run).items():
    permuted = np.array(given)
    permuted[:, entries] = given[order][:, entries]
    gaps[name] = terms["elbo"] - elbo(permuted)
  return Likelihood(terms, errors, gaps)


def _bound(run: Run, split: Feed, samples: int, key) -> dict[str, Estimate]:
  """Measure the importance-weighted bound, so many rows at once as fit."""
  values = math.prod(split.columns["image"].shape[1:])
  at_once = max(SAMPLES, VALUES // values)
  bound = bounds.make_bound(run.system, samples, at_once)
  fitting = VALUES // (samples * values)
  few = max(1, min(run.config.batch_size, fitting))
  where = run.placed, split
  if few % run.mesh.size:  # then more rows would draw other noise
    where = run.state, Feed(split.columns)
  return evaluate.make_estimate(bound)(*where, few, key)


def _attributes(run: Run) -> dict[str, list[int]]:
  """Return the entries of each of several attributes, its known bit too."""
  names = getattr(run.conditions, "asked", ())
  found = {}
  for name in names if len(names) > 1 else ():
    found[name] = [*run.conditions.entry_numbers(name)]
    if (bit := run.conditions.bit(name)) is not None:
      found[name].append(bit)
  return found
