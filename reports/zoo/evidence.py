"""What two of the zoo's systems are compared by, and how sure a verdict is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cvae_jax.loop.distances import FRECHET, SLICED
from reports.zoo.runs import Entry

RUNS = 3  # of each system, below which a verdict is one "so far"
Value = Callable[[Entry], float | None]


class Term(NamedTuple):
  """What two systems are compared by."""

  words: str
  value: Value
  # (one, other) -> by how much the first is better, 1 being enough to count
  gain: Callable[[float, float], float]
  enough: str


GENERATED = tuple(
  Term(
    words,
    lambda entry, name=name: entry.likeness.get(name),
    lambda one, other: (1 - one / other) / 0.05,
    "5 % less on",
  )
  for name, words in (
    (FRECHET, "Fréchet distance (VGG16)"),
    (SLICED, "sliced W₁"),
  )
)
RECONSTRUCTED = (
  Term(
    "LPIPS",
    lambda entry: entry.likeness.get("lpips"),
    lambda one, other: (1 - one / other) / 0.02,
    "2 % less on",
  ),
  Term(
    "PSNR",
    lambda entry: entry.last.get("psnr"),
    lambda one, other: (one - other) / 0.1,
    "0.1 dB on",
  ),
)


def mark_few(word: str, *counts: int, least: int = RUNS) -> str:
  """Return a verdict's outcome, marked where it is of few runs.

  Args:
    counts: the runs of each system that it is of.
  """
  decided = word in ("confirmed", "contradicted", "met", "missed")
  return word + " so far" * (decided and min(counts) < least)


def count_runs(*counts: int) -> str:
  """Say how many runs a verdict is of."""
  return f"runs: {' and '.join(map(str, counts))}"


def comparable_config(entry: Entry) -> tuple:
  """Return what is alike in runs whose layers are to be compared."""
  config = entry.config
  return config.loss.kl, config.model.features.network, entry.epochs


def pair_runs(
  one: Sequence[Entry], other: Sequence[Entry]
) -> list[tuple[Entry, Entry]]:
  """Pair runs of the same seed."""
  seeds = {entry.config.seed: entry for entry in other}
  return [
    (entry, seeds[entry.config.seed])
    for entry in one
    if entry.config.seed in seeds
  ]


def list_values(entries: Sequence[Entry], value: Value) -> list[float]:
  """Return the values of the runs that have one."""
  values = [value(entry) for entry in entries]
  return [value for value in values if value is not None]
