"""Compare a run's epoch losses with a published curve, or another run's."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.host import images
from cvae_jax.host.paths import local
from cvae_jax.loop.folder.rows import losses, read_metrics

CURVES = Path(__file__).parent / "reference"
TOLERANCE = 0.02


class VerifyError(ValueError):
  """Says why a run has nothing to be compared with."""


class Epoch(NamedTuple):
  """One epoch's mean training loss beside the other curve's."""

  epoch: int
  other: float
  ours: float | None  # None if the run has not come so far

  @property
  def ratio(self) -> float | None:
    """Return ours / other."""
    return None if self.ours is None else self.ours / self.other


def load_published(name: str) -> dict[int, float]:
  """Read the published curve "family/model": {epoch: loss}.

  Raises:
    VerifyError: there is none of that name; the names are listed.
  """
  family, _, model = name.partition("/")
  path = CURVES / f"{family}.csv"
  if not path.exists():
    families = sorted(path.stem for path in CURVES.glob("*.csv"))
    raise VerifyError(f"no published curves of {family!r}; of {families}")
  with path.open(newline="") as file:
    rows = list(csv.DictReader(file))
  curve = {
    int(row["epoch"]): float(row["loss"])
    for row in rows
    if row["model"] == model
  }
  if not curve:
    models = list(dict.fromkeys(row["model"] for row in rows))
    raise VerifyError(f"no published curve {name!r}; {family} has {models}")
  return curve


def curve(config: ConfigDict) -> dict[int, float]:
  """Return the published curve of a config, {} if it names none."""
  return load_published(config.reference) if config.reference else {}


def reference(workdir: Path) -> str:
  """Return the name of the curve that a run's config says it follows.

  Raises:
    VerifyError: the folder is no run, or its config names no curve.
  """
  _check_run(workdir)
  name = configs.of_run(workdir).reference
  if not name:
    raise VerifyError(
      f"{workdir}: its config has no `reference`, since no curve was "
      "published for it (configs/digits.py:full has one)"
    )
  return name


def _check_run(workdir: Path) -> None:
  if not (local(workdir, "the run's folder") / "config.json").exists():
    raise VerifyError(f"{workdir} is not a run's folder: no config.json")


def compare(
  workdir: Path, beside: Sequence[Mapping[str, Any]] | None = None
) -> list[Epoch]:
  """Compare a run's epochs with the published ones of its reference.

  Args:
    workdir: the run's folder.
    beside: the rows of another run, or of an entry of a ledger, in place of
      what is published.

  Raises:
    VerifyError: see `reference` and `load_published`; or one of the two has
      no finished epoch.
  """
  if beside is None:
    curve = load_published(reference(workdir))
  else:
    _check_run(workdir)
    curve = _by_epoch(beside)
    if not curve:
      raise VerifyError(f"what {workdir} is set beside has no finished epoch")
  if not (ours := _by_epoch(read_metrics(workdir))):
    raise VerifyError(
      f"{workdir} has no finished epoch to compare; of an export give the run "
      "itself"
    )
  return [Epoch(epoch, loss, ours.get(epoch)) for epoch, loss in curve.items()]


def _by_epoch(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
  return {round(epoch): loss for epoch, loss in losses(rows, "epoch").items()}


def matches(epochs: list[Epoch], tolerance: float = TOLERANCE) -> bool:
  """Tell whether every published epoch is met within the tolerance."""
  return all(e.ratio and abs(e.ratio - 1) <= tolerance for e in epochs)


def table(
  epochs: list[Epoch], tolerance: float = TOLERANCE, other: str = "published"
) -> str:
  """Lay the comparison out as text, an epoch a line.

  Args:
    epochs: of `compare`.
    tolerance: the largest relative difference of a match.
    other: a word for the other curve.
  """
  lines = [f"epoch {other:>10}      ours   ratio"]
  for e in epochs:
    if e.ours is None:
      lines.append(f"{e.epoch:5d} {e.other:10.4f}         –       –  miss")
      continue
    verdict = "match" if abs(e.ratio - 1) <= tolerance else "miss"
    both = f"{e.other:10.4f} {e.ours:9.4f}"
    lines.append(f"{e.epoch:5d} {both}  {e.ratio:.4f}  {verdict}")
  return "\n".join(lines)


def plot(
  path: Path, epochs: list[Epoch], title: str, other: str = "published"
) -> None:
  """Draw both curves as PNG; `other` is a word for the other one."""
  figure = Figure(figsize=(6, 4), layout="constrained")
  axes = figure.subplots()
  x = [e.epoch for e in epochs]
  axes.plot(x, [e.other for e in epochs], "o-", label=other)
  run = [e for e in epochs if e.ours is not None]
  axes.plot([e.epoch for e in run], [e.ours for e in run], "x--", label="ours")
  axes.set(xlabel="epoch", ylabel="training loss (epoch mean)", title=title)
  axes.legend()
  images.save_figure(path, figure, dpi=120)
