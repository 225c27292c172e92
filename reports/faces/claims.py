"""The source's two conclusions on the ladder, judged by measured figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reports.claims import Verdict, outcome, outcome_of_all, t_interval

Models = Mapping[int, Mapping[str, Any]]  # by rung of the ladder
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]

LOSS = 0.005  # relative; the source's repeated runs differ by 0.002
LOSSES = {"loss": "final training", "test loss": "held-out"}
DISTANCE = 0.05  # relative, of samples' mean distances
PAIRS = ((9, 11), (12, 13), (14, 15))  # equal but for the weight W, which falls

CONFOUNDS = """\
- **Other faces.** The source trained on generated portraits (StyleGAN's). A
  loss beside a published one says that the scale is right, not which is better.
- **One run of most models.** Where the source repeated a run, the losses
  differed by up to 0.2 %; models 5 and 6 differ by 0.24 % in its log.
- **Every published figure is a training loss**, measured during the epoch with
  dropout on; the source has no held-out faces.
- **7 → 8 is the decoder's shortcuts only**, and it adds 36.5 M parameters. The
  source's text credits skip connections of encoder and decoder together; the
  encoder's streams came with model 5, as new dense paths (10.1 M parameters
  more), not as links of the convolutions. 8 → 9, which lets the shortcuts see
  the condition, is the larger step in its log (−3.6 %, 7 → 8: −1.9 %).
- **Model 11 changes W and the latents at once** (100 → 5, 80 → 40), so the
  source's neighbours 10 and 11 do not isolate W. Models 9 and 11 do.
- **W is no ratio to the KL's weight.** The squared error is a mean over 43,200
  values and the KL a sum over latents: relative to ½·SSE + β·KL, β = 21,600/W.
  Losses of models with different W are not comparable; neither are their
  ELBOs, whose likelihoods have different variances.
- **tanh heads** (model 7 on) bound means and log-variances to ±1, so no
  posterior can be narrow, whatever W is.
"""


def shortcuts(models: Models) -> Verdict:
  """Judge model 8 beside model 7, by training and by held-out loss.

  Both losses must fall. Of one pair of runs each fall counts as it is. Of
  pairs of several seeds the 95 % interval of the mean fall counts: confirmed
  where both intervals lie above the least fall that counts, contradicted where
  one of them lies below it.
  """
  claim = "Decoder shortcuts help (model 7 → 8)"
  if lacking := _explain_missing(models, (7, 8), tuple(LOSSES)):
    return Verdict(claim, "not measured", [lacking])
  pairs = _pair_seeds(models, (7, 8), tuple(LOSSES))
  judge = _judge_pair if len(pairs) == 1 else _judge_seeds
  word, reasons = judge(pairs)
  reasons.append(f"a fall counts from {LOSS:.1%} on, in both")
  return Verdict(claim, word, reasons)


def _judge_pair(pairs: Sequence[Pair]) -> tuple[str, list[str]]:
  """Judge a fall of both losses by one pair of runs."""
  ((before, after),) = pairs
  falls = {name: 1 - after[name] / before[name] for name in LOSSES}
  reasons = [
    f"{words} loss {before[name]:.4f} → {after[name]:.4f} ({-falls[name]:+.2%})"
    for name, words in LOSSES.items()
  ]
  return outcome([*falls.values()], LOSS), reasons


def _judge_seeds(pairs: Sequence[Pair]) -> tuple[str, list[str]]:
  """Judge a fall of both losses by pairs of several seeds."""
  intervals = []
  reasons = []
  for name, words in LOSSES.items():
    falls = [1 - after[name] / before[name] for before, after in pairs]
    low, high = t_interval(falls)
    intervals.append((low, high))
    each = ", ".join(f"{-fall:+.2%}" for fall in falls)
    reasons.append(
      f"{words} loss {-np.mean(falls):+.2%} (95 % interval {-high:+.2%} to "
      f"{-low:+.2%}; seed by seed {each})"
    )
  return outcome_of_all(intervals, LOSS), reasons


def weight(models: Models) -> Verdict:
  """Judge samples' distances in pairs of models that differ in W alone."""
  claim = "A smaller MSE weight lowers diversity"
  falls = []
  reasons = []
  for pair in PAIRS:
    if lacking := _explain_missing(models, pair, ("one_condition",)):
      reasons.append(f"models {pair[0]} and {pair[1]} not compared: {lacking}")
      continue
    before, after = (models[k]["one_condition"] for k in pair)
    falls.append(1 - after / before)
    weights = " → ".join(f"{models[k]['W']:g}" for k in pair)
    reasons.append(
      f"models {pair[0]} and {pair[1]}, W {weights}: distance of samples under "
      f"one condition {before:.4f} → {after:.4f} ({-falls[-1]:+.1%})"
    )
  if not falls:
    return Verdict(claim, "not measured", reasons)
  reasons.append(f"a change counts from {DISTANCE:.0%} on, in every pair there")
  return Verdict(claim, outcome(falls, DISTANCE), reasons)


def _pair_seeds(
  models: Models, rungs: Sequence[int], names: Sequence[str]
) -> list[Pair]:
  """Pair complete runs of two models that have one seed and one data set.

  The two models' own runs are a pair, whatever their seeds, where no seed is
  in both.
  """
  first, second = (models[k]["seeds"] for k in rungs)
  pairs = [
    (first[seed], second[seed])
    for seed in sorted(first.keys() & second.keys())
    if first[seed]["trained_on"] == second[seed]["trained_on"]
  ]
  known = [
    pair
    for pair in pairs
    if all(m["complete"] and m.get(n) is not None for m in pair for n in names)
  ]
  return known or [(models[rungs[0]], models[rungs[1]])]


def _explain_missing(
  models: Models, wanted: Sequence[int], names: Sequence[str]
) -> str:
  """Say what of the wanted models is missing; "" if nothing is."""
  for k in wanted:
    if k not in models:
      return f"model {k} is not trained"
    if not models[k]["complete"]:
      return f"model {k} has {models[k]['epochs']} of its epochs only"
    for name in names:
      if models[k].get(name) is None:
        return f"model {k} has no {name.replace('_', ' ')}"
  return ""
