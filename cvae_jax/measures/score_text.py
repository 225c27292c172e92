"""A run's scores as text: what is missing, warnings, a table."""

from typing import Any

from cvae_jax.loop import idle_latents
from cvae_jax.measures import control
from cvae_jax.measures.abilities import askable, borrows_labels
from cvae_jax.measures.samples import manner_lines
from cvae_jax.runs import Run

IGNORED = 1.0  # nats: a smaller gap means that the condition is not used


def explain_missing(
  run: Run, scores: dict[str, Any], samples: int
) -> list[str]:
  """Explain which figures are missing because the system cannot have them."""
  name = run.config.system
  found = []
  if "elbo" not in scores["test"]:
    found.append(f"ELBO: {name} has none")
  if samples and run.system.nats is None:
    found.append(f"importance-weighted bound: {name} gives no p(x | z)")
  elif samples and borrows_labels(run):
    found.append(
      "importance-weighted bound: it would be of log p(x | y), and no label "
      f"taught {name} what y means"
    )
  if scores["condition_gap_nats"] is None:
    found.append(f"nats lost: {name} here has no ELBO that reads the condition")
  if scores["latents"]["kl"] is None:
    learned = run.system.log_prior is not None
    why = "has a learned prior" if learned else "encodes to points"
    found.append(f"nats of each latent: {name} here {why}")
  if not askable(run):
    found.append(f"control: {name} here can be asked for nothing")
  elif scores["unlabelled"]:
    found.append(f"control: no label taught {name}'s categories which is which")
  return found


def warnings(scores: dict[str, Any]) -> list[str]:
  """Warn where a run's figures look better or worse than they are."""
  found = []
  gap = scores["condition_gap_nats"]
  if gap is not None and gap < IGNORED:
    found.append(
      "the likelihood hardly reads the condition: permuting it costs only "
      f"{gap:.2f} nats"
    )
  else:
    found += [
      f"the likelihood hardly reads {name}: permuting it costs only "
      f"{nats:.2f} nats"
      for name, nats in (scores.get("attribute_gap_nats") or {}).items()
      if nats < IGNORED
    ]
  if scores["latents"]["active"] == 0:
    found.append("posterior collapsed: no latent is active")
  elif text := idle_latents.caution(scores["test"]):
    found.append(text)
  return found + ([] if scores["unlabelled"] else control.warnings(scores))


def table(scores: dict[str, Any]) -> str:
  """Lay scores out as text, a figure a line."""
  terms = dict(scores["test"])
  bound = terms.pop("iw_bound", None)
  errors = scores.get("standard_errors") or {}  # older scores have none

  def line(words: str, value: float, name: str) -> str:
    error = errors.get(name)
    return f"{words:32} {value:10.4f}" + (f" ± {error:.2g}" if error else "")

  lines = [line(f"test {name}", value, name) for name, value in terms.items()]
  if bound is not None:
    words = line(f"IW bound of {scores['iw_of']}", bound, "iw_bound")
    lines.append(f"{words}  (k = {scores['iw_samples']})")
  if (gap := scores["condition_gap_nats"]) is not None:
    lines.append(f"{'nats lost, conditions permuted':32} {gap:10.4f}")
  for name, nats in (scores.get("attribute_gap_nats") or {}).items():
    lines.append(f"{f'nats lost, {name} permuted':32} {nats:10.4f}")
  lines += [] if scores["unlabelled"] else control.lines(scores)
  lines += manner_lines(scores["protocol"])
  if (found := scores["categories"]) is not None:
    lines.append(f"{'cluster purity':32} {found['purity']:10.2%}")
    lines.append(f"{'categories used':32} {found['used']:10d}")
  usage = scores["latents"]
  lines.append(f"{'active latents':32} {usage['active']:7d}/{usage['of']}")
  gained = scores.get("fitted") or {}
  for prior in ("fitted", "own"):
    if gained.get(prior) is not None:
      lines.append(f"{f'log {prior} prior of codes':32} {gained[prior]:10.4f}")
  lines += [f"not scored: {text}" for text in scores["unscored"]]
  return "\n".join(lines + [f"WARNING {text}" for text in scores["warnings"]])
