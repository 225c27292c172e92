"""Scores a digits run: likelihood, reconstruction, control, latents."""

from typing import Any

import numpy as np

from cvae_jax import data, evaluate, keys
from cvae_jax.feed import Feed, check
from cvae_jax.metrics import bounds, control, latents
from cvae_jax.runs import Run, RunError

IGNORED = 1.0  # nats: a smaller gap means that the condition is not used


def score(
  run: Run,
  judge: Run | None = None,
  *,
  samples: int = 50,
  per_class: int = 200,
  seed: int = 0,
) -> dict[str, Any]:
  """Scores a run on its data's test split.

  Args:
    run: a run that encodes and decodes.
    judge: a classifier's run; without one, class control is not scored.
    samples: k of the importance-weighted bound.
    per_class: generated digits of each class.
    seed: of every random draw here.

  Raises:
    RunError: the run's data have no test split.
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
      "test_examples": len(test["label"]),
      "seed": seed,
    },
    "test": terms,
    "iw_samples": samples,
    "condition_gap_nats": gap,
    "latents": latents.usage(*run.encode(test["image"], test["condition"])),
    "ink_control": _ink(run, per_class, seed),
  }
  if judge:
    scores["class_control"] = _classes(run, judge, test, per_class, seed)
  scores["warnings"] = _warnings(scores)
  return scores


def _likelihood(run: Run, test, samples: int, seed: int):
  """Gives the test means and the nats lost when conditions are permuted."""
  key = keys.address(seed, "evaluate")
  split = Feed(check(test, run.system.columns))
  size = run.config.batch_size
  mean = evaluate.make_mean(run.system.evaluate)
  bound = evaluate.make_mean(bounds.importance_weighted(run.system, samples))
  terms = mean(run.state, split, size, key)
  terms |= bound(run.state, split, size, key)
  order = np.random.default_rng(seed).permutation(len(test["condition"]))
  wrong = split.columns | {"condition": test["condition"][order]}
  gap = terms["elbo"] - mean(run.state, Feed(wrong), size, key)["elbo"]
  return terms, gap


def _classes(run, judge, test, per_class: int, seed: int) -> dict[str, Any]:
  """Asks the judge for the class of samples at ink 0.5, and of real digits."""
  requested = np.repeat(np.arange(run.conditions.classes), per_class)
  images = run.sample(run.conditions.encode(requested, ink=0.5), seed)
  real = judge.classify(test["image"]).argmax(axis=-1)
  return control.hits(requested, judge.classify(_seen(images)), seed) | {
    "samples": len(requested),
    "ink": 0.5,
    "ceiling": float((real == test["label"]).mean()),
    "judge": str(judge.folder),
  }


def _ink(run: Run, per_class: int, seed: int) -> dict[str, Any]:
  """Compares requested with measured ink over the condition's range."""
  low, high = run.conditions.limits
  labels = np.repeat(np.arange(run.conditions.classes), per_class)
  requested = np.tile(np.linspace(low, high, per_class), run.conditions.classes)
  images = run.sample(run.conditions.encode(labels, requested), seed)
  measured = run.conditions.measure(_seen(images), labels)
  return control.agreement(requested, measured)


def _seen(images):
  """Clips to what a picture can show; a ReLU decoder overshoots white."""
  return np.clip(images, 0.0, 1.0)


def _warnings(scores: dict[str, Any]) -> list[str]:
  found = []
  if scores["condition_gap_nats"] < IGNORED:
    found.append(
      "condition ignored: permuting the conditions costs only "
      f"{scores['condition_gap_nats']:.2f} nats"
    )
  classes = scores.get("class_control")
  if classes and classes["hit_rate"] < 2 * classes["floor"]:
    found.append(
      f"condition ignored: {classes['hit_rate']:.1%} of samples show the "
      f"requested class, permuted labels give {classes['floor']:.1%}"
    )
  usage = scores["latents"]
  if usage["active"] == 0:
    found.append("posterior collapsed: no latent is active")
  return found


def table(scores: dict[str, Any]) -> str:
  """Lays scores out as text, a figure a line."""
  lines = [f"{'test ' + k:32} {v:10.4f}" for k, v in scores["test"].items()]
  lines[-1] += f"  (k = {scores['iw_samples']})"
  lines.append(
    f"{'nats lost, conditions permuted':32} "
    f"{scores['condition_gap_nats']:10.4f}"
  )
  if classes := scores.get("class_control"):
    low, high = classes["interval"]
    lines += [
      f"{'requested class, of samples':32} {classes['hit_rate']:10.2%}"
      f"  [{low:.2%}, {high:.2%}], n = {classes['samples']}",
      f"{'  ceiling: judge on real digits':32} {classes['ceiling']:10.2%}",
      f"{'  floor: labels permuted':32} {classes['floor']:10.2%}",
    ]
  ink, usage = scores["ink_control"], scores["latents"]
  lines += [
    f"{'ink asked and measured, corr.':32} {ink['correlation']:10.4f}",
    f"{'  slope, mean absolute error':32} {ink['slope']:10.4f}"
    f" {ink['mean_absolute_error']:.4f}",
    f"{'active latents':32} {usage['active']:7d}/{usage['of']}",
  ]
  return "\n".join(lines + [f"WARNING {text}" for text in scores["warnings"]])
