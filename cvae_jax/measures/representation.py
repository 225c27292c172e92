"""Score a run's latents by the labels of its data: what does a latent mean?

The labels are the attributes of the conditions or, without any, the column
`label`. For prepared images that were trained without a condition, they are
all attributes of the set. In a conditional model the latents need not hold
what the condition says, so a low score is good there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax import data
from cvae_jax.data import Dataset
from cvae_jax.data.conditions.angle import Angle
from cvae_jax.data.conditions.multilabel import MultiLabel
from cvae_jax.loop.batches import spread
from cvae_jax.loop.distances import conditions as conditions_of
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.metrics import representation
from cvae_jax.runs import Run, RunError

ROWS = 5_000  # rows of each split, at most
TREES = 1_000  # training rows for the trees of DCI, at most
_RARE = "the rows that are fitted have one level only"


class Factors(NamedTuple):
  """Known factors of the rows of a split."""

  names: tuple[str, ...]
  real: NDArray  # bool [F]
  angle: NDArray  # bool [F], of the real ones
  train: NDArray  # [N, F]
  test: NDArray  # [M, F]


def score(
  run: Run, seed: int = 0, dataset: Dataset | None = None
) -> dict[str, Any]:
  """Score posterior means of a run on its data's labels.

  Args:
    run: a run that encodes images.
    seed: of the votes and the trees.
    dataset: the data, of a run whose data were handed in as arrays.

  Returns:
    factors; rows of each split; mig, sap, dci, factor_vae (None where there
    are too few latents or factors), each's mean over the factors; of_factor:
    {name: mig, sap and a linear probe's accuracy and chance, or r2}; left_out:
    names of factors that cannot be scored, since they have one level only.

  Raises:
    RunError: the run encodes no images, or its data have no test split or no
      labels of two levels.
  """
  if run.system.encode is None or "image" not in run.system.columns:
    raise RunError(
      f"{run.folder}: it encodes no images to score latents of; {purpose(run)}"
    )
  dataset = load_data(run.folder, run.config.data, dataset)
  if dataset.test is None:
    raise RunError(f"{run.folder}: its data have no test split to score on")
  splits = dataset.train, dataset.test
  rows = [spread(len(split["image"]), ROWS) for split in splits]
  factors, kept = _factors(run, dataset, rows)
  factors, left_out = _leave_out_rare(factors)
  if not factors.names:
    raise RunError(
      f"{run.folder}: no label by which latents could be scored: of "
      f"{', '.join(left_out)} {_RARE}"
    )
  codes = [
    run.encode(_images(split)[r[k]], conditions_of(split, r[k])).mean
    for split, r, k in zip(splits, rows, kept, strict=True)
  ]
  return _scores(*codes, factors, seed) | {"left_out": list(left_out)}


def _images(split: Mapping) -> Any:
  """Return the images of a split that its labels describe."""
  return split.get("labelled_image", split["image"])


def _leave_out_rare(factors: Factors) -> tuple[Factors, tuple[str, ...]]:
  """Leave out factors that have one level in rows that something is fitted to.

  These are the training rows, and those of them that the trees of DCI see.

  Returns:
    The factors that stay, and the names of the others.
  """
  names, real, angle, train, test = factors
  levels = representation.levels(np.concatenate([train, test]), real)
  fitted = levels[: len(train)]
  few = fitted[spread(len(train), TREES)]
  told = np.array(
    [
      all(len(np.unique(rows[:, f])) > 1 for rows in (fitted, few))
      for f in range(len(names))
    ]
  )
  stay = tuple(name for name, t in zip(names, told, strict=True) if t)
  others = tuple(name for name in names if name not in stay)
  parts = (part[..., told] for part in (real, angle, train, test))
  return Factors(stay, *parts), others


def _scores(codes, test_codes, factors: Factors, seed: int) -> dict[str, Any]:
  names, real, angle, train, test = factors
  both = np.concatenate([train, test])
  cut = representation.levels(both, real)
  levels = cut[: len(train)]
  test_levels = cut[len(train) :]
  few = spread(len(codes), TREES)
  # SAP and the probe read real numbers as they are, and classes as levels.
  values = np.where(real, train, levels)
  test_values = np.where(real, test, test_levels)
  given = codes, values, test_codes, test_values, real, angle
  each = {
    "mig": representation.mig(codes, levels),
    "sap": representation.sap(*given),
  }
  probes = representation.probe(*given)
  of_factor = {
    name: {
      key: None if gap is None else float(gap[f]) for key, gap in each.items()
    }
    | probes[f]
    for f, name in enumerate(names)
  }
  means = {k: None if v is None else float(v.mean()) for k, v in each.items()}
  return {
    "factors": list(names),
    "rows": [len(train), len(test)],
    **means,
    "dci": representation.dci(
      codes[few], levels[few], test_codes, test_levels, seed
    ),
    "factor_vae": representation.factor_score(codes, levels, seed),
    "of_factor": of_factor,
  }


def _factors(
  run: Run, dataset: Dataset, rows: Sequence[NDArray]
) -> tuple[Factors, list[NDArray]]:
  """Return the labels of rows of both splits, and which rows have them all.

  Raises:
    RunError: there are none.
  """
  group = run.config.data
  labelled = dataset
  # The data may have attributes that the run was not given.
  if not _attributes(dataset) and group.get("conditions") == "":
    group = group.copy_and_resolve_references()
    group.conditions = "all"
    labelled = data.load(group)
  found = {}
  known = np.ones(sum(map(len, rows)), bool)
  if group.get("labels", -1) != 0:
    found, known = _columns(labelled, rows)
  kept = np.split(known, [len(rows[0])])
  if not found or not all(map(np.any, kept)):
    raise RunError(
      f"{run.folder}: its data have no labels by which latents could be scored"
    )
  values = np.stack([value for _, value in found.values()], axis=1)
  parts = np.split(values, [len(rows[0])])
  real = np.array([is_real for is_real, _ in found.values()])
  kinds = {a.name: a.kind for a in _attributes(labelled)}
  angle = np.array([kinds.get(name) == "angle" for name in found])
  both = (part[k] for part, k in zip(parts, kept, strict=True))
  return Factors(tuple(found), real, angle, *both), kept


def _attributes(dataset: Dataset) -> Sequence[Any]:
  """Return what a dataset's conditions say that images show."""
  return getattr(dataset.conditions, "attributes", ())


def _columns(dataset: Dataset, rows: Sequence[NDArray]) -> tuple[dict, NDArray]:
  """Return {factor: (whether it is real, values [N])} and what is known, [N].

  N counts the rows of both splits, which follow one another.
  """
  splits = dataset.train, dataset.test
  pairs = list(zip(splits, rows, strict=True))
  vectors = np.concatenate([conditions_of(*pair) for pair in pairs])
  found = {}
  known = np.ones(len(vectors), bool)
  for attribute in _attributes(dataset):
    known &= dataset.conditions.known(vectors, attribute.name)
    entries = vectors[:, dataset.conditions.columns(attribute.name)]
    found |= _attribute_factors(attribute, entries)
  if not found and "label" in dataset.train:
    label = np.concatenate([split["label"][r] for split, r in pairs])
    found["label"] = False, label.astype(np.float64)
  return found, known


def _attribute_factors(attribute: Any, entries: NDArray) -> dict:
  """Return the factors of one attribute's entries [N, K]."""
  name = attribute.name
  if isinstance(attribute, MultiLabel):
    columns = zip(attribute.levels, entries.T, strict=True)
    return {f"{name}:{level}": (False, column) for level, column in columns}
  if isinstance(attribute, Angle):
    return {name: (True, np.arctan2(entries[:, 1], entries[:, 0]))}
  if attribute.levels:
    level = np.unique(entries, axis=0, return_inverse=True)[1]
    return {name: (False, level.reshape(-1).astype(np.float64))}
  values = entries[:, 0].astype(np.float64)
  return {name: (len(np.unique(values)) > 2, values)}


def lines(scores: Mapping[str, Any]) -> list[str]:
  """Lay the scores out as text, a figure a line."""
  found = [
    ("MIG", scores["mig"]),
    ("SAP", scores["sap"]),
    ("DCI disentanglement", scores["dci"]["disentanglement"]),
    ("DCI completeness", scores["dci"]["completeness"]),
    ("DCI informativeness", scores["dci"]["informativeness"]),
    ("FactorVAE score", scores["factor_vae"]),
  ]
  for name, each in scores["of_factor"].items():
    found += [
      (f"linear probe, {name} ({key})", each[key])
      for key in ("accuracy", "chance", "r2")
      if key in each
    ]
  text = [
    f"{name:32} {'none' if value is None else f'{value:10.4f}':>10}"
    for name, value in found
  ]
  if left_out := scores.get("left_out"):
    text.append(f"not scored: {', '.join(left_out)}: {_RARE}")
  return text
