"""The source's findings, judged by measured figures."""

from collections.abc import Callable, Mapping
from typing import Any

from cvae_jax.loop.distances import FRECHET, SLICED
from reports import markdown
from reports.claims import Verdict, outcome
from reports.compare.cells import (
  BETAS,
  LATENTS,
  MEANS,
  SUMS,
  Cell,
  ae,
  of_each_seed,
  vae,
)
from reports.compare.curves import is_loss
from reports.compare.rules import (
  ALIKE,
  BETTER,
  COLLAPSED,
  DEAF,
  KEPT,
  USELESS,
  describe_poor,
  describe_unlike,
  judge_collapse,
  near_duplicates,
  sign,
  strength,
)

Runs = Mapping[Cell, Mapping[str, Any]]  # what reports.compare gathered


def verdicts(runs: Runs) -> list[Verdict]:
  """Judge every finding."""
  sizes = [
    (vae(128, how, b), vae(512, how, b)) for how in (SUMS, MEANS) for b in BETAS
  ]
  causes = [(vae(z, MEANS, b), vae(z, SUMS, b)) for z in LATENTS for b in BETAS]
  return [
    _collapse(
      runs, "1. 128 latents collapse the VAE's posterior, 512 do not", sizes
    ),
    _collapse(
      runs,
      "1'. Instead, averaging the loss's terms collapses it, summing does not",
      causes,
    ),
    _usefulness(runs, "2. The GAN is useless with 128 latents, not with 512"),
    _ranking(runs, "3. Samples of N(0, I): the VAE's beat the AE's", ae, vae),
    _ranking(
      runs,
      "3. Samples of N(0, I): the GAN's beat the VAE's",
      vae,
      lambda z: Cell("GAN", z),
    ),
    _modes(runs, "3. The GAN's samples are similar: its modes collapse"),
    _tracking(runs, "4. The GAN's losses do not tell the samples' quality"),
    _stopping(
      runs,
      "5. Stopping by a distance of samples keeps as good a state as any seen",
    ),
    _remedy(runs, "6. A Wasserstein loss cures the mode collapse"),
  ]


def distance(samples: Mapping[str, float]) -> tuple[str, float | None]:
  """Return the distance that counts: Fréchet's, or without weights sliced."""
  name = FRECHET if FRECHET in samples else SLICED
  return name, samples.get(name)


def _collapse(runs: Runs, claim: str, pairs) -> Verdict:
  """Judge whether the first of each pair collapses and the second does not."""

  def judge(bad, good):
    ratios = [run["posterior"]["ratio"] for run in (bad, good)]
    active = [run["posterior"]["active"] for run in (bad, good)]
    words = (
      f"reconstructions' distance {ratios[0]:.3g} and {ratios[1]:.3g} of the "
      f"images', {active[0]} and {active[1]} latents active"
    )
    held = ratios[0] < COLLAPSED <= ratios[1]
    return (1 if held else -1), words

  return _judge(runs, claim, pairs, judge)


def _usefulness(runs: Runs, claim: str) -> Verdict:
  def judge(small, large):
    name, a = distance(small["samples"]["prior"])
    b = distance(large["samples"]["prior"])[1]
    words = f"{name} {a:.4g} and {b:.4g}"
    if doubt := describe_unlike(small, large) or describe_poor(large):
      return 0, f"{words}: {doubt}"
    held = a >= USELESS * b and a - b > small["real"][name]
    return held - (a <= ALIKE * b), words

  pair = tuple(Cell("GAN", z) for z in LATENTS)
  return _judge(runs, claim, [pair], judge)


def _ranking(runs: Runs, claim: str, worse: Callable, better: Callable):
  """Judge whether one kind's samples are nearer than another's."""

  def judge(first, second):
    name, a = distance(first["samples"]["prior"])
    b = distance(second["samples"]["prior"])[1]
    words = f"{name} {a:.4g} and {b:.4g}"
    if first["cell"].kind == "AE":
      fitted = distance(first["samples"]["fitted"])[1]
      words += f" ({fitted:.4g} of the AE with z from its fitted Gaussian)"
    if doubt := describe_unlike(first, second) or describe_poor(second):
      return 0, f"{words}: {doubt}"
    least = first["real"][name]  # two sets of real images differ by so much
    nearer = b < (1 - BETTER) * a and a - b > least
    farther = a < (1 - BETTER) * b and b - a > least
    return nearer - farther, words

  pairs = [(worse(z), better(z)) for z in LATENTS]
  return _judge(runs, claim, pairs, judge)


def _modes(runs: Runs, claim: str) -> Verdict:
  def judge(run):
    samples = run["samples"]["prior"]
    share, (low, high) = near_duplicates(samples)
    words = (
      f"{share:.1%} near duplicates ({low:.1%} to {high:.1%}), mean distance "
      f"{samples['ratio']:.3g} of the images'"
    )
    if doubt := describe_poor(run):
      return 0, f"{words}: {doubt}"
    return judge_collapse(samples), words

  return _judge(runs, claim, [(Cell("GAN", z),) for z in LATENTS], judge)


def _tracking(runs: Runs, claim: str) -> Verdict:
  def judge(run):
    losses = {
      name: values
      for name, values in run["tracking"].items()
      if is_loss(name) and values["rank correlation"] is not None
    }
    if not losses:
      return None, "too few evaluations with a distance"
    name = max(losses, key=lambda name: strength(losses[name]))
    tracks, rank = strength(losses[name])
    shown = [markdown.cell(value) for value in losses[name].values()]
    words = f"rank correlation with the distance {shown[0]}, given the epoch"
    return (rank < DEAF) - tracks, (
      f"{words} {shown[1]}, its floor {shown[2]} ({name}, the best loss)"
    )

  return _judge(runs, claim, [(Cell("GAN", z),) for z in LATENTS], judge)


def _stopping(runs: Runs, claim: str) -> Verdict:
  def judge(run):
    stop = run["stop"]
    if not stop:
      return None, "no distance was measured while it trained"
    if stop["of"] == stop["by"]:
      return None, f"cannot be judged: {stop['by']} alone was measured"
    if stop["stops"] is None:
      return 0, f"did not stop within its epochs ({stop['ends']:g})"
    if stop["stops"] == stop["ends"]:
      return 0, f"stopped at epoch {stop['stops']:g}, its last: none to compare"
    words = (
      f"stops at epoch {stop['stops']:g}, keeps epoch {stop['keeps']:g} by "
      f"{stop['by']}: {stop['of']} {stop['kept']:.4g}, lowest "
      f"{stop['lowest']:.4g}, last {stop['last']:.4g}"
    )
    return (1 if stop["kept"] <= KEPT * stop["lowest"] else -1), words

  cells = [(Cell(k, z),) for k in ("GAN", "WGAN-GP") for z in LATENTS]
  return _judge(runs, claim, cells, judge)


def _remedy(runs: Runs, claim: str) -> Verdict:
  """Judge diversity, near duplicates and recall of WGAN-GP beside GAN."""

  def judge(gan, remedy):
    a, b = (run["samples"]["prior"] for run in (gan, remedy))
    shares = [near_duplicates(samples) for samples in (a, b)]
    values = {
      "mean distance over the images'": (a["ratio"], b["ratio"]),
      "recall": (a["recall"], b["recall"]),
      "near duplicates": (shares[0][0], shares[1][0]),
    }
    words = ", ".join(
      f"{n} {x:.3g} and {y:.3g}" for n, (x, y) in values.items()
    )
    if judge_collapse(a) < 1:
      return None, f"{words}: the GAN lost no mode for sure, so none to cure"
    if doubt := describe_unlike(gan, remedy):
      return 0, f"{words}: {doubt}"
    (low, high), (least, most) = (interval for _, interval in shares)
    signs = [
      sign(b["ratio"] - a["ratio"]),
      sign(b["recall"] - a["recall"]),
      (most < low) - (least > high),
    ]
    more = min(signs) >= 0 < max(signs)
    less = max(signs) <= 0 > min(signs)
    return more - less, words

  pairs = [(Cell("GAN", z), Cell("WGAN-GP", z)) for z in LATENTS]
  return _judge(runs, claim, pairs, judge)


def _judge(runs: Runs, claim: str, groups, judge: Callable) -> Verdict:
  """Judge every group of cells whose runs are there; names what is lacking.

  A group is judged once for each seed that has a run of one of its cells.

  Args:
    judge: (run of each cell) -> (1 confirmed, −1 contradicted, 0 neither or
      None not measured; words).
  """
  found = []
  reasons = []
  lacking = {}
  for cells in of_each_seed(groups, runs):
    missing = {cell: why for cell in cells if (why := _missing(runs, cell))}
    lacking |= missing
    if not missing:
      gain, words = judge(*(runs[cell] for cell in cells))
      reasons.append(f"{' and '.join(map(str, cells))}: {words}")
      found += [] if gain is None else [gain]
  if lacking:
    named = ", ".join(f"{cell} ({why})" for cell, why in lacking.items())
    reasons.append(f"lacking {named}")
  return Verdict(claim, outcome(found) if found else "not measured", reasons)


def _missing(runs: Runs, cell: Cell) -> str:
  """Say why a run cannot be judged; "" if it can."""
  if cell not in runs:
    return "not trained"
  if not runs[cell]["complete"]:
    return f"only {runs[cell]['epochs']} of its epochs"
  return "" if runs[cell]["samples"] else "not measured"
