"""The rules and thresholds by which the source's findings are judged."""

from collections.abc import Mapping
from typing import Any

# Mean distances of two reconstructions, and of two samples, are divided by the
# mean distance of two images.
COLLAPSED = 0.1  # below this ratio of reconstructions the posterior collapses
SIMILAR = 0.8  # below this ratio of samples the modes collapse
WIDER = 0.05  # the least difference of that ratio, or of recall, that counts
# Distances of samples from held-out images.
USELESS = 2.0  # samples are useless from this many times another's distance
ALIKE = 1.1  # and not useless up to this many times
BETTER = 0.05  # the least relative difference that counts
KEPT = 1.05  # a good stop keeps at most this many times the run's lowest one
REPEATED = 0.05  # share of near duplicates; that of images is 0.01
QUALITY = 0.05  # the least precision of a GAN whose samples are judged
# Rank correlations of a signal with the distance.
TRACKS = 0.8  # from here on a signal tracks quality
ALSO = 0.8  # the least correlation given the epoch, too
DEAF = 0.5  # below this a signal does not track quality
UNLIKE = 2.0  # runs are not compared if one moved this many times as often

HOW = f"""\
How they are judged. Posterior collapse: the mean distance of two
reconstructions is below {COLLAPSED:g} of that of two images. A sample set is
better than another where its distance from held-out images is lower by more
than {BETTER:.0%} and by more than the floor, which is what two sets of real
images differ by; useless where it is {USELESS:g} times the other's. Modes
have collapsed where more than {REPEATED:.0%} of samples are near duplicates in
both spaces (the smaller share counts, and all of its bootstrap interval of
95 % must be above) or their mean distance is below {SIMILAR:g} of that of
images; they have not where all of the interval is below. A GAN whose precision
is below {QUALITY:.0%} is not judged: its samples are not yet pictures. A signal
tracks quality where its rank correlation with the distance is {TRACKS:g} or
more, and that given the epoch {ALSO:g} or more, above its floor and of the same
sign (both fall as training begins, so the first alone tells nothing); it does
not where the first is below {DEAF:g}. A stop is judged where evaluations came
after it, by a distance that it did not follow: it keeps as good a state where
the distance there is at most {KEPT:g} times the run's lowest. Whether a GAN's
modes are cured is told only where it lost some; a mean distance or a recall
counts from a difference of {WIDER:g}, near duplicates where the intervals are
apart. Samples of two runs are compared only where neither moved more than
{UNLIKE:g} times as often as the other, and both have one seed. A claim is
confirmed where that holds in all pairs of finished runs, contradicted where its
opposite does."""


def describe_unlike(*group: Mapping[str, Any]) -> str:
  """Say whether runs moved too unlike often to be compared; "" if not."""
  moves = [run["updates"] for run in group]
  if max(moves) <= UNLIKE * min(moves):
    return ""
  counts = " and ".join(f"{count:,}" for count in moves)
  return f"too unlike in training to tell, updated {counts} times"


def describe_poor(run: Mapping[str, Any]) -> str:
  """Say whether a GAN's samples are too poor to be judged; "" if not."""
  share = run["samples"]["prior"]["precision"]
  if run["cell"].kind not in ("GAN", "WGAN-GP") or share >= QUALITY:
    return ""
  return f"precision {share:.3g}, the GAN is not there yet"


def near_duplicates(samples: Mapping[str, Any]) -> tuple[float, list[float]]:
  """Return the share of near duplicates and its interval.

  They are what both spaces see: those of the smaller share.
  """
  both = ("near_duplicates", "near_duplicates_pixels")
  name = min(both, key=samples.__getitem__)
  return samples[name], samples[f"{name}_interval"]


def judge_collapse(samples: Mapping[str, Any]) -> int:
  """Tell whether modes are lost, 1, or kept, −1, or neither is sure, 0."""
  _, (low, high) = near_duplicates(samples)
  lost = low > REPEATED or samples["ratio"] < SIMILAR
  return lost - (high <= REPEATED and samples["ratio"] >= SIMILAR)


def strength(values: Mapping[str, float | None]) -> tuple[bool, float]:
  """Tell whether a signal tracks quality, and how it is correlated with it."""
  rank, given, floor = (
    values[name] or 0.0
    for name in ("rank correlation", "given the epoch", "floor")
  )
  also = rank * given > 0 and abs(given) >= max(ALSO, floor)
  return also and abs(rank) >= TRACKS, abs(rank)


def sign(gain: float) -> int:
  """Return a gain's sign, 0 where it is too small to count."""
  return (gain > WIDER) - (gain < -WIDER)
