"""Scores a run: likelihood, reconstruction, control, latents."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cvae_jax import control, data, evaluate, keys
from cvae_jax.feed import Feed, check
from cvae_jax.metrics import bounds, latents
from cvae_jax.runs import VALUES, Run, RunError

IGNORED = 1.0  # nats: a smaller gap means that the condition is not used


def score(
  run: Run,
  judges: Sequence[Run] = (),
  *,
  samples: int = 50,
  per_class: int = 200,
  seed: int = 0,
) -> dict[str, Any]:
  """Scores a run on its data's test split.

  Args:
    run: a run that encodes and decodes.
    judges: runs of the attribute system; what none of them reads is not
      scored, unless the data source measures it itself (the digits' ink).
    samples: k of the importance-weighted bound; 0 leaves it out.
    per_class: generated images of each class or level that is asked for.
    seed: of every random draw here.

  Raises:
    RunError: the run's data have no test split, or the judges do not fit.
  """
  dataset = data.load(run.config.data)
  if dataset.test is None:
    raise RunError(
      f"{run.folder}: its data have no test split to score on; bring the "
      "test files (data/README.md)"
    )
  test = dataset.test
  terms, gap = _likelihood(run, test, samples, seed)
  scores = {
    "protocol": {
      "run": str(run.folder),
      "step": int(run.state.step),
      "test_examples": len(test["condition"]),
      "seed": seed,
    },
    "test": terms,
    "iw_samples": samples,
    "condition_gap_nats": gap,
    "latents": latents.usage(*run.encode(test["image"], test["condition"])),
    **control.score(run, judges, test, per_class, seed),
  }
  scores["warnings"] = _warnings(scores)
  return scores


def _likelihood(run: Run, test, samples: int, seed: int):
  """Gives the test means and the nats lost when conditions are permuted."""
  key = keys.address(seed, "evaluate")
  split = Feed(check(test, run.system.columns))
  size = run.config.batch_size
  mean = evaluate.make_mean(run.system.evaluate)
  terms = mean(run.state, split, size, key)
  if samples:
    bound = evaluate.make_mean(bounds.importance_weighted(run.system, samples))
    wide = samples * math.prod(test["image"].shape[1:])  # values of an example
    few = max(1, min(size, VALUES // wide))
    terms |= bound(run.state, split, few, key)
  order = np.random.default_rng(seed).permutation(len(test["condition"]))
  wrong = split.columns | {"condition": test["condition"][order]}
  gap = terms["elbo"] - mean(run.state, Feed(wrong), size, key)["elbo"]
  return terms, gap


def _warnings(scores: dict[str, Any]) -> list[str]:
  found = []
  if scores["condition_gap_nats"] < IGNORED:
    found.append(
      "condition ignored: permuting the conditions costs only "
      f"{scores['condition_gap_nats']:.2f} nats"
    )
  if scores["latents"]["active"] == 0:
    found.append("posterior collapsed: no latent is active")
  return found + control.warnings(scores)


def table(scores: dict[str, Any]) -> str:
  """Lays scores out as text, a figure a line."""
  lines = [f"{'test ' + k:32} {v:10.4f}" for k, v in scores["test"].items()]
  if scores["iw_samples"]:
    lines[-1] += f"  (k = {scores['iw_samples']})"
  lines.append(
    f"{'nats lost, conditions permuted':32} "
    f"{scores['condition_gap_nats']:10.4f}"
  )
  lines += control.lines(scores)
  usage = scores["latents"]
  lines.append(f"{'active latents':32} {usage['active']:7d}/{usage['of']}")
  return "\n".join(lines + [f"WARNING {text}" for text in scores["warnings"]])
