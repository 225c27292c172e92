"""Judges: runs that read attributes from images.

A run of `configs/judge.py` reads all attributes of its data, each by a head of
its own. A run of the attribute system reads one: its `config.columns` say which
entries of a condition it reads, and which it is given beside the image.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.host import commands
from cvae_jax.host.images import unit
from cvae_jax.loop.folder.run_data import Datasets, has_same_images
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.runs import Run, RunError

# What the attribute system reads.
_BY_COLUMN = ("class", "binary", "number", "log")


class Reader:
  """Reads every attribute of images for which there is a judge or a gauge."""

  def __init__(self, conditions: Any, judges: Sequence[Run] = ()):
    """Find what each judge reads.

    Raises:
      RunError: a run is no judge, or one reads nothing that conditions has,
        or is given what no other judge reads.
    """
    check_judges(judges)
    self.conditions = conditions
    self.judges: dict[str, tuple[Run, str | None]] = {}
    single = [judge for judge in judges if "columns" in judge.config]
    for judge in judges:
      if judge not in single:
        self._add_heads(judge)
    for judge in sorted(single, key=lambda j: len(j.config.columns.given)):
      self._add_column(judge)

  def __call__(self, images: NDArray, asked: NDArray) -> dict[str, NDArray]:
    """Read {attribute: [N, K]} from images of which [N, A] was asked."""
    images = np.clip(unit(images), 0.0, 1.0)  # the range of a picture
    found = {}
    whole = {}
    for name, (judge, given) in self.judges.items():
      if "columns" in judge.config:
        found[name] = judge.predict(images, found[given] if given else None)
        continue
      if judge.folder not in whole:
        whole[judge.folder] = judge.predict(images)
      found[name] = whole[judge.folder][:, judge.conditions.columns(name)]
    return found | self.conditions.gauge(images, asked)

  def _add_heads(self, judge: Run) -> None:
    """Use a judge for all attributes that both it and the conditions have."""
    own = {a.name: a for a in judge.conditions.attributes}
    shared = [a for a in self.conditions.attributes if a.name in own]
    if not shared:
      raise RunError(
        f"judge {judge.folder} reads {', '.join(own)}; the run is conditioned "
        f"on {', '.join(self.conditions.asked)}"
      )
    for attribute in shared:
      if own[attribute.name] != attribute:
        raise RunError(
          f"judge {judge.folder} reads {attribute.name} as "
          f"{_describe(own[attribute.name])}; the run is conditioned on it as "
          f"{_describe(attribute)}. Train the judge on the run's own data"
        )
      self.judges[attribute.name] = judge, None

  def _add_column(self, judge: Run) -> None:
    """Use a judge of the attribute system for the one attribute it reads."""
    of = {self._entries(name): name for name in self.conditions.asked}
    target, given = (
      _names(judge.conditions, judge.config.columns[kind])
      for kind in ("target", "given")
    )
    if target not in of:
      raise RunError(
        f"judge {judge.folder} reads {', '.join(target)}; the run is "
        f"conditioned on {', '.join(self.conditions.names)}"
      )
    kind = self.conditions.attribute(of[target]).kind
    if kind not in _BY_COLUMN:
      raise RunError(
        f"judge {judge.folder} reads a class, a number or a log, and "
        f"{of[target]} is {kind}: train "
        f"{commands.format_command('train')} --config=judge"
      )
    if given and of.get(given) not in self.judges:
      raise RunError(
        f"judge {judge.folder} is given {', '.join(given)} beside the "
        "image: add the judge that reads them to --judge"
      )
    self.judges[of[target]] = judge, of.get(given)

  def _entries(self, name: str) -> tuple[str, ...]:
    """Name the entries of one attribute."""
    return _names(self.conditions, self.conditions.entry_numbers(name))


def check_judges(judges: Sequence[Run]) -> None:
  """Check that runs read attributes.

  Raises:
    RunError: one does not.
  """
  for judge in judges:
    if judge.system.predict is None:
      raise RunError(
        f"{judge.folder} is no judge: it is a run of {judge.config.system!r}; "
        f"{purpose(judge)}. Give a run of configs/judge.py, "
        "configs/classifier.py (digits) or configs/attributes.py (faces)"
      )


def _names(conditions: Any, columns: Sequence[int]) -> tuple[str, ...]:
  return tuple(conditions.names[i] for i in columns)


def _describe(attribute: Any) -> str:
  """Describe the kind of an attribute and its values."""
  return f"{attribute.kind} ({attribute.choices()})"


def load_training_data(
  judges: Sequence[Run], run: Run | None = None, own: Mapping | None = None
) -> list[Mapping]:
  """Return the training split of each judge.

  Args:
    judges: runs that read attributes.
    run: a run whose training split is at hand.
    own: this split. It is that of a judge of the same images, too, whose data
      need not be there.
  """
  load = Datasets()
  return [
    own
    if run is not None and has_same_images(judge.folder, run.folder)
    else load(judge.folder, judge.config.data).train
    for judge in judges
  ]
