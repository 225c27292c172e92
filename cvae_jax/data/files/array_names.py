"""What the names of arrays say: their split, and which attribute they are."""

import collections
import re
from collections.abc import Sequence

from cvae_jax.data import DataError
from cvae_jax.data.files import splits

_LABELS = ("y", "label", "labels", "lbls", "target", "targets", "class", "")
_NOISE = ("imgs", "images", "image", "img", "x", "arr", "data", "0", "1")


def guess_split(name: str) -> str:
  """Return the split that a word of a name means, else ""."""
  return next(filter(None, map(splits.canonical, _split_words(name))), "")


def name_attributes(
  groups: Sequence[Sequence[str]], whole: bool, where: object
) -> dict[str, str]:
  """Return the attribute of each array, briefly: `class` of train_labels.

  Where two arrays of the same images would be one attribute, both keep their
  own names: fine_labels and coarse_labels.

  Args:
    groups: the names of the arrays that belong to the same images.
    whole: no word of a name is a split.
    where: the file, for errors.

  Raises:
    DataError: if the own names of two of them are one, too.
  """
  found = {n: _shorten(n, whole) for group in groups for n in group}
  if clashing := _find_clashing(groups, found):
    for name, short in found.items():
      if short in clashing:
        found[name] = "_".join(_own_words(name, whole)) or short
  if clashing := _find_clashing(groups, found):
    short = min(clashing)
    names = [name for name, own in found.items() if own == short]
    raise DataError(
      f"{where}: found no attribute's name for arrays {', '.join(names)} but "
      f"{short!r}, which another one has; rename one of them, or leave it out"
    )
  return found


def _split_words(name: str) -> list[str]:
  return [word for word in re.split(r"[^A-Za-z0-9]+", name.lower()) if word]


def _own_words(name: str, whole: bool) -> list[str]:
  """Return what an array's name says beside the split, or all of it."""
  words = _split_words(name)
  return [word for word in words if whole or not splits.canonical(word)]


def _shorten(name: str, whole: bool) -> str:
  words = [word for word in _own_words(name, whole) if word not in _NOISE]
  if not words or words[-1] in _LABELS:
    return "class"
  return "_".join(words)


def _find_clashing(
  groups: Sequence[Sequence[str]], found: dict[str, str]
) -> set[str]:
  """Return the attributes that two arrays of the same images would be.

  `file` is taken: that column names the images.
  """
  counts = [
    collections.Counter(["file", *(found[name] for name in group)])
    for group in groups
  ]
  return {name for count in counts for name, n in count.items() if n > 1}
