"""What the zoo's sources claim, and this project's targets, as measurements."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cvae_jax.metrics import clusters
from reports import markdown
from reports.claims import Verdict, outcome
from reports.zoo.evidence import (
  GENERATED,
  RECONSTRUCTED,
  Term,
  comparable_config,
  count_runs,
  list_values,
  mark_few,
  pair_runs,
)
from reports.zoo.runs import EPOCHS, Entry, Zoo

FREE = math.log(10)  # nats that a label of ten classes gives at most
VAE = "VAE, 2 latents"
SCVAE = "SCVAE, 2 latents"
M2 = "M2, 100 labels"
M1M2 = "M1+M2, 100 labels"
SSAAE = "SSAAE, 100 labels"
M2_SOURCE = "M2, faithful"
M3 = "M3"
PIXELS = "pixel VAE"
LOW = "DFC-VAE, 123"
HIGH = "DFC-VAE, 345"
TARGETS = {M2: 0.12, M1M2: 0.05, SSAAE: 0.025}  # test error, at most
DRAWS = 5  # of the labels, at least
CLEARER = 0.1  # of purity, and of log 10 nats of entropy, to count
CONTROL = 0.97  # of samples show the class that was asked for


def verdicts(zoo: Zoo) -> Iterator[Verdict]:
  """Judge every claim, as far as there are runs for it."""
  yield convergence(zoo.of(VAE), zoo.of(SCVAE))
  yield from (error(zoo.of(title), title) for title in TARGETS)
  yield judge_stacking(zoo.of(M2), zoo.of(M1M2))
  yield from categories(zoo)
  yield control(zoo.groups)
  yield generation(zoo)
  yield reconstruction(zoo)


def curve(entry: Entry) -> dict[int, float]:
  """Return the test ELBO, in nats, of each epoch that was evaluated."""
  return {round(row["epoch"]): row["elbo"] for row in entry.tests}


def hits(entry: Entry) -> float | None:
  """Return the share of samples that show the class asked for.

  None where no label taught the categories, whose numbers then say nothing.
  """
  if entry.scores.get("unlabelled"):
    return None
  known = entry.scores.get("control", {}).get("class", {})
  return known.get("sweep", {}).get("hit_rate")


def mean_entropy(entry: Entry) -> float | None:
  """Return the mean entropy of a category's samples, in nats."""
  known = entry.scores.get("control", {}).get("class", {})
  counts = known.get("sweep", {}).get("confusion")
  return counts and clusters.row_entropy(np.array(counts))


def purity(entry: Entry) -> float | None:
  """Return the purity of q(y | x)'s categories."""
  return (entry.scores.get("categories") or {}).get("purity")


def convergence(plain: Sequence[Entry], labelled: Sequence[Entry]) -> Verdict:
  """Judge whether the label speeds learning, beyond what it gives for free."""
  claim = "Label conditioning converges faster"
  curves = [[curve(e) for e in pair] for pair in pair_runs(plain, labelled)]
  curves = [pair for pair in curves if all({*EPOCHS} <= {*c} for c in pair)]
  if not curves:
    wanted = f"{VAE} and {SCVAE} of {EPOCHS[-1]} epochs and of one seed"
    return Verdict(claim, "not measured", [f"it takes {wanted}"])
  elbo = np.array([[[c[e] for e in EPOCHS] for c in pair] for pair in curves])
  without = elbo[:, 0]
  within = elbo[:, 1] - FREE
  gains = [markdown.spread(gain) for gain in (within - without).T]
  reasons = [
    f"seeds: {len(curves)}",
    "by the test ELBO, less the log 10 that a label gives, SCVAE leads by "
    + ", ".join(f"{g} (epoch {e})" for e, g in zip(EPOCHS, gains, strict=True))
    + " nats",
  ]
  left = [x[:, -1] - x[:, 0] for x in (without, within)]
  reasons.append(
    f"from epoch 1 to {EPOCHS[-1]} VAE still gains {markdown.spread(left[0])} "
    f"nats, SCVAE {markdown.spread(left[1])}"
  )
  reasons.append(
    "it counts as faster where it is ahead after epoch 1 and has less left to "
    "gain, with every seed"
  )
  ahead = [*(within - without)[:, 0], *(left[0] - left[1])]
  return Verdict(claim, mark_few(outcome(ahead), len(curves)), reasons)


def error(entries: Sequence[Entry], title: str) -> Verdict:
  """Judge the mean test error with few labels by this project's target."""
  target = TARGETS[title]
  claim = f"{title}: at most {100 * target:g}% test error"
  if not entries:
    return Verdict(claim, "not measured", ["it is not trained"])
  errors = [entry.last["error"] for entry in entries]
  reason = f"{markdown.spread(errors, 100)} % over {len(errors)} draws"
  met = "met" if np.mean(errors) <= target else "missed"
  return Verdict(claim, mark_few(met, len(errors), least=DRAWS), [reason])


def judge_stacking(alone: Sequence[Entry], stacked: Sequence[Entry]) -> Verdict:
  """Judge M1+M2 beside M2, draw by draw of the labels."""
  claim = "M1+M2 errs less than M2"
  pairs = pair_runs(alone, stacked)
  if not pairs:
    return Verdict(claim, "not measured", ["it takes both with one draw"])
  gains = [a.last["error"] - b.last["error"] for a, b in pairs]
  reasons = [
    f"by {markdown.spread(gains, 100)} points over {len(pairs)} draws of the "
    "labels"
  ]
  return Verdict(claim, mark_few(outcome(gains), len(pairs)), reasons)


def categories(zoo: Zoo) -> Iterator[Verdict]:
  """Judge M3's categories beside those of the source's M2: neither has labels.

  That M2's classifier is never trained.
  """
  for verb, words, value, enough in (
    ("separates digits better than", "purity of q(y | x)", purity, CLEARER),
    (
      "draws clearer categories than",
      "entropy of a category's samples, nats",
      mean_entropy,
      -CLEARER * FREE,
    ),
  ):
    claim = f"M3 {verb} the source's M2 ({M2_SOURCE})"
    ours, theirs = (
      list_values(zoo.of(title), value) for title in (M3, M2_SOURCE)
    )
    if not ours or not theirs:
      yield Verdict(claim, "not measured", [f"no {words} of both"])
      continue
    gain = (np.mean(ours) - np.mean(theirs)) / enough
    counts = len(ours), len(theirs)
    reasons = [
      f"{words}: M3 {markdown.spread(ours)}, M2 {markdown.spread(theirs)}, "
      f"counts from {abs(enough):.2g} on",
      count_runs(*counts),
    ]
    yield Verdict(claim, mark_few(outcome([gain], 1.0), *counts), reasons)


def control(groups: Mapping[str, Sequence[Entry]]) -> Verdict:
  """Judge whether some system draws the class that is asked for."""
  claim = f"Class control of SCVAE or ilAAE is at least {CONTROL:.0%}"
  known = {
    title: list_values(group, hits)
    for title, group in groups.items()
    if title.startswith(("SCVAE", "ilAAE"))
  }
  known = {title: shares for title, shares in known.items() if shares}
  if not known:
    return Verdict(claim, "not measured", ["no judge or no run to be judged"])
  reasons = [
    f"{title}: {markdown.spread(shares, 100)} % ({count_runs(len(shares))})"
    for title, shares in known.items()
  ]
  best = max(known.values(), key=np.mean)
  met = "met" if np.mean(best) >= CONTROL else "missed"
  return Verdict(claim, mark_few(met, len(best)), reasons)


def generation(zoo: Zoo) -> Verdict:
  """Judge whether low layers' samples are nearer to held-out faces."""
  claim = f"{LOW} generates nicer faces than {HIGH}"
  return _faces(zoo, claim, (LOW, HIGH), GENERATED)


def reconstruction(zoo: Zoo) -> Verdict:
  """Judge whether high layers reconstruct better, as their paper says."""
  claim = f"{HIGH} reconstructs better than {LOW}"
  return _faces(zoo, claim, (HIGH, LOW), RECONSTRUCTED)


def _faces(
  zoo: Zoo, claim: str, titles: tuple[str, str], terms: Sequence[Term]
) -> Verdict:
  """Judge whether the first title is better than the second by all terms."""
  kinds = {
    comparable_config(entry) for title in titles for entry in zoo.of(title)
  }
  if len(kinds) > 1:
    reason = "the runs differ in more than their layers: KL weight, network"
    return Verdict(claim, "not measured", [reason + " or epochs"])
  gains = []
  reasons = []
  counts = []
  for term in terms:
    known = [list_values(zoo.of(title), term.value) for title in titles]
    if not all(known):
      lacking = titles[0] if not known[0] else titles[1]
      return Verdict(claim, "not measured", [f"no {term.words} of {lacking}"])
    one, other = (float(np.mean(values)) for values in known)
    gains.append(term.gain(one, other))
    counts += map(len, known)
    values = [markdown.cell(value) for value in (one, other)]
    reasons.append(f"{term.words}: {values[0]}, of {titles[1]} {values[1]}")
  reasons.append("; ".join(f"{t.words} counts from {t.enough}" for t in terms))
  reasons.append(count_runs(*counts[:2]))
  return Verdict(claim, mark_few(outcome(gains, 1.0), *counts), reasons)
