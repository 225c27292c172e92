"""Scores a run: likelihood, reconstruction, control, latents, categories."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cvae_jax import control, evaluate, keys, regions
from cvae_jax.feed import Feed, check
from cvae_jax.files import read_json, write_atomically
from cvae_jax.metrics import bounds, clusters, latents
from cvae_jax.record import load_data
from cvae_jax.runs import VALUES, Run, RunError

FILE = "scores.json"  # in a run's folder
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
    run: a run that encodes and decodes. What its system cannot answer is
      None, and `unscored` says why.
    judges: runs of the attribute system; what none of them reads is not
      scored, unless the data source measures it itself (the digits' ink).
    samples: k of the importance-weighted bound; 0 leaves it out.
    per_class: generated images of each class or level that is asked for.
    seed: of every random draw here.

  Raises:
    RunError: the run encodes no images, its data have no test split, or the
      judges do not fit.
  """
  control.check_judges(judges)  # at once, not after minutes of scoring
  if run.system.encode is None or "image" not in run.system.columns:
    raise RunError(
      f"{run.folder}: a {run.config.system} encodes no images, which is what "
      "is scored here; a colouring is scored by launch.colourise, a GAN by "
      "launch.figures compare"
    )
  dataset = load_data(run.folder, run.config.data)
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
    "iw_samples": samples if "iw_bound" in terms else 0,
    "condition_gap_nats": gap,
    "latents": latents.usage(*run.encode(test["image"], test["condition"])),
    "categories": _categories(run, test),
    "unlabelled": run.system.unlabelled,
    **_control(run, judges, test, per_class, seed),
  }
  scores["unscored"] = _unscored(run, scores, samples)
  scores["warnings"] = _warnings(scores)
  return scores


def save(run: Run, scores: dict[str, Any]) -> None:
  """Writes a run's scores.json."""
  write_atomically(run.folder / FILE, json.dumps(scores, indent=2) + "\n")


def known(run: Run) -> dict[str, Any] | None:
  """Gives the scores in a run's scores.json, if they are of this state."""
  path = run.folder / FILE
  if not path.exists():
    return None
  found = read_json(path, dict, "delete it, and the run is scored anew")
  protocol = found.get("protocol", {})
  return found if protocol.get("step") == int(run.state.step) else None


def saved(run: Run, judges: Sequence[Run] = ()) -> dict[str, Any]:
  """Gives the scores in a run's scores.json, measured where they are not.

  Those of another step do not count, nor those without a judge where there
  is one.
  """
  if found := known(run):
    judged = any("judge" in entry for entry in found["control"].values())
    if judged or not (judges and askable(run)):
      return found
  scores = score(run, judges)
  save(run, scores)
  return scores


def askable(run: Run) -> bool:
  """Tells whether a run can be asked for anything."""
  read = run.conditions.attributes and "condition" in run.system.columns
  return bool(read or run.system.regions)


def _control(run: Run, judges, test, count: int, seed: int) -> dict[str, Any]:
  if run.system.regions:
    return regions.score(run, judges, count, seed)
  if not askable(run):
    return {"control": {}, "leakage": None}
  return control.score(run, judges, test, count, seed)


def _categories(run: Run, test) -> dict[str, Any] | None:
  """Compares q(y | x) with the labels, where there is the one and the other."""
  if run.system.classify is None or "label" not in test:
    return None
  category = run.classify(test["image"]).argmax(axis=-1)
  return clusters.purity(category, test["label"])


def _likelihood(run: Run, test, samples: int, seed: int):
  """Gives the test means and the nats lost when conditions are permuted.

  The second is None where the ELBO, if any, does not read the condition, as
  M2's sums over all of them: then it tells nothing of its use.
  """
  key = keys.address(seed, "evaluate")
  split = Feed(check(test, run.system.columns))
  size = run.config.batch_size
  mean = evaluate.make_mean(run.system.evaluate)
  terms = mean(run.state, split, size, key)
  if samples and run.system.nats:
    bound = evaluate.make_mean(bounds.importance_weighted(run.system, samples))
    wide = samples * math.prod(test["image"].shape[1:])  # values of an example
    few = max(1, min(size, VALUES // wide))
    terms |= bound(run.state, split, few, key)
  if "elbo" not in terms:
    return terms, None
  order = np.random.default_rng(seed).permutation(len(test["condition"]))

  def elbo(condition):
    columns = Feed(split.columns | {"condition": condition})
    return mean(run.state, columns, size, key)["elbo"]

  gap = terms["elbo"] - elbo(test["condition"][order])
  if not gap and np.isfinite(elbo(np.full_like(test["condition"], np.nan))):
    return terms, None
  return terms, gap


def _unscored(run: Run, scores: dict[str, Any], samples: int) -> list[str]:
  """Says what was asked of a run whose system has no answer to it."""
  name, found = run.config.system, []
  if "elbo" not in scores["test"]:
    found.append(f"ELBO: {name} has none")
  if samples and run.system.nats is None:
    found.append(f"importance-weighted bound: {name} gives no p(x | z)")
  if scores["condition_gap_nats"] is None:
    found.append(f"nats lost: {name} here has no ELBO that reads the condition")
  if scores["latents"]["kl"] is None:
    found.append(f"nats of each latent: {name} encodes to points")
  if not askable(run):
    found.append(f"control: {name} here can be asked for nothing")
  elif scores["unlabelled"]:
    found.append(f"control: no label taught {name}'s categories which is which")
  return found


def _warnings(scores: dict[str, Any]) -> list[str]:
  found = []
  gap = scores["condition_gap_nats"]
  if gap is not None and gap < IGNORED:
    found.append(
      "the likelihood hardly reads the condition: permuting it costs only "
      f"{gap:.2f} nats"
    )
  if scores["latents"]["active"] == 0:
    found.append("posterior collapsed: no latent is active")
  return found + ([] if scores["unlabelled"] else control.warnings(scores))


def table(scores: dict[str, Any]) -> str:
  """Lays scores out as text, a figure a line."""
  lines = [f"{'test ' + k:32} {v:10.4f}" for k, v in scores["test"].items()]
  if scores["iw_samples"]:
    lines[-1] += f"  (k = {scores['iw_samples']})"
  if (gap := scores["condition_gap_nats"]) is not None:
    lines.append(f"{'nats lost, conditions permuted':32} {gap:10.4f}")
  lines += [] if scores["unlabelled"] else control.lines(scores)
  if (found := scores["categories"]) is not None:
    lines.append(f"{'cluster purity':32} {found['purity']:10.2%}")
    lines.append(f"{'categories used':32} {found['used']:10d}")
  usage = scores["latents"]
  lines.append(f"{'active latents':32} {usage['active']:7d}/{usage['of']}")
  lines += [f"not scored: {text}" for text in scores["unscored"]]
  return "\n".join(lines + [f"WARNING {text}" for text in scores["warnings"]])
