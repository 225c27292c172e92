"""What latents say of known factors: MIG, SAP, DCI, FactorVAE's score, a probe.

Codes are [N, Z], usually posterior means, and factors [N, F]: whole numbers
that name a level, or real numbers where `real` [F] says so. Scores that need
levels divide a real factor into ten levels of equally many rows. Where `angle`
[F] says so, a real factor is in radians; SAP and the probe take its cosine and
sine, because 0 and 2π are the same angle. Scores that compare the best latent
with the second best need two latents, and scores that compare factors need two
factors. Without these a score is None.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mutual_info_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

BINS = 20  # of a code's histogram, as in Locatello et al. 2019
LEVELS = 10  # that a real factor is cut into
PRUNED = 0.05  # a code of a smaller standard deviation casts no vote
BATCH = 64  # rows that share a factor, of a vote
VOTES = 800  # of each of training and evaluation


def levels(factors: ArrayLike, real: ArrayLike) -> NDArray[np.int64]:
  """Return factors [N, F] as levels, real ones cut at their quantiles."""
  factors = np.asarray(factors, np.float64)
  found = np.empty(factors.shape, np.int64)
  for f, is_real in enumerate(np.broadcast_to(real, factors.shape[1])):
    column = factors[:, f]
    if is_real:
      edges = np.quantile(column, np.arange(1, LEVELS) / LEVELS)
      above = column[column > column.min()]
      # An edge at the least value would have no rows below it.
      edges = edges.clip(min=above.min(initial=np.inf))
      column = np.searchsorted(np.unique(edges), column, side="right")
    found[:, f] = np.unique(column, return_inverse=True)[1]
  return found


def information(codes: ArrayLike, factors: ArrayLike) -> NDArray:
  """Return the mutual information [Z, F] of binned codes and levels, nats."""
  codes = np.asarray(codes)
  found = np.zeros((codes.shape[1], factors.shape[1]))
  for z, code in enumerate(codes.T):
    edges = np.histogram(code, BINS)[1][:-1]
    bins = np.digitize(code, edges)
    found[z] = [mutual_info_score(factor, bins) for factor in factors.T]
  return found


def mig(codes: ArrayLike, factors: ArrayLike) -> NDArray | None:
  """Return each factor's mutual information gap [F] (Chen et al. 2018).

  It is the information of the best code less that of the second, divided by
  the factor's entropy.

  Args:
    codes: [N, Z].
    factors: levels [N, F].
  """
  if np.shape(codes)[1] < 2:
    return None
  factors = np.asarray(factors)
  entropy = [mutual_info_score(factor, factor) for factor in factors.T]
  return _gap(information(codes, factors)) / np.array(entropy)


def sap(
  codes, factors, test_codes, test_factors, real, angle=False
) -> NDArray | None:
  """Return each factor's separated attribute predictability [F].

  The gap between the best and the second code, alone, in how well they tell
  the factor (Kumar et al. 2018): the accuracy on the test rows of a linear
  support vector machine, of real factors the squared correlation.
  """
  if codes.shape[1] < 2:
    return None
  score = np.zeros((codes.shape[1], factors.shape[1]))
  angles = np.broadcast_to(angle, factors.shape[1])
  for f, is_real in enumerate(np.broadcast_to(real, factors.shape[1])):
    for z in range(codes.shape[1]):
      x = codes[:, [z]]
      y = factors[:, f]
      if is_real:
        score[z, f] = _squared_correlation(x[:, 0], _targets(y, angles[f]))
        continue
      machine = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
      _quietly(machine.fit, x, y)
      guess = machine.predict(test_codes[:, [z]])
      score[z, f] = np.mean(guess == test_factors[:, f])
  return _gap(score)


def _targets(factor: NDArray, is_angle: bool) -> NDArray:
  """Return what is told of a real factor [N]: [N, 1], of an angle [N, 2]."""
  parts = [np.cos(factor), np.sin(factor)] if is_angle else [factor]
  return np.stack(parts, axis=1)


def _squared_correlation(x: NDArray, targets: NDArray) -> float:
  """Return the share of the targets' variance that x [N] tells linearly."""
  spread = np.cov(x, targets.T)
  whole = np.trace(spread[1:, 1:])
  if spread[0, 0] <= 1e-12 or whole == 0:
    return 0.0
  return (spread[0, 1:] ** 2).sum() / (spread[0, 0] * whole)


def _gap(table: NDArray) -> NDArray:
  """Return the best less the second of each column."""
  order = np.sort(table, axis=0)
  return order[-1] - order[-2]


def dci(codes, factors, test_codes, test_factors, seed: int = 0) -> dict:
  """Return disentanglement, completeness, informativeness.

  Eastwood and Williams 2018, with the importances of gradient-boosted trees
  (scikit-learn's), as Locatello et al. 2019. Informativeness is the accuracy
  on the test rows.

  Args:
    codes: [N, Z].
    factors: levels [N, F].
    test_codes: [M, Z].
    test_factors: [M, F].
    seed: of ties between trees.
  """
  weight = np.zeros((codes.shape[1], factors.shape[1]))
  right = []
  for f, factor in enumerate(factors.T):
    trees = GradientBoostingClassifier(random_state=seed).fit(codes, factor)
    weight[:, f] = trees.feature_importances_
    right.append(np.mean(trees.predict(test_codes) == test_factors[:, f]))
  return importance(weight) | {"informativeness": float(np.mean(right))}


def importance(weight: NDArray) -> dict[str, float | None]:
  """Return DCI's disentanglement and completeness of importances [Z, F]."""
  codes, factors = weight.shape
  total = weight.sum() or 1.0
  small = weight + 1e-11
  of_code = 1 - stats.entropy(small.T, base=factors) if factors > 1 else None
  of_factor = 1 - stats.entropy(small, base=codes) if codes > 1 else None
  return {
    "disentanglement": None
    if of_code is None
    else float(of_code @ weight.sum(axis=1) / total),
    "completeness": None
    if of_factor is None
    else float(of_factor @ weight.sum(axis=0) / total),
  }


def factor_score(
  codes: ArrayLike,
  factors: ArrayLike,
  seed: int = 0,
  *,
  pruned: float = PRUNED,
  votes: int = VOTES,
) -> float | None:
  """Return FactorVAE's score (Kim and Mnih 2018), from 1 / F to 1.

  For a vote, some rows are chosen that agree in one factor. The code that
  varies least among them, relative to all rows, gets the vote. Each code is
  then assigned the factor of most of its votes. The score is the share of
  further votes in which the assigned factor is right.

  Args:
    codes: [N, Z].
    factors: levels [N, F].
    seed: of the rows.
    pruned: codes of a smaller standard deviation cast no vote.
    votes: of each of training and evaluation.
  """
  codes = np.asarray(codes)
  factors = np.asarray(factors)
  if factors.shape[1] < 2:
    return None
  variance = codes.var(axis=0, ddof=1)
  active = np.flatnonzero(np.sqrt(variance) >= max(pruned, 1e-12))
  if not len(active):
    return 0.0
  codes = codes[:, active]
  variance = variance[active]
  generator = np.random.default_rng(seed)
  found = np.zeros((2, factors.shape[1], len(active)), np.int64)
  for half in found:
    for _ in range(votes):
      f = generator.integers(factors.shape[1])
      value = factors[generator.integers(len(factors)), f]
      alike = np.flatnonzero(factors[:, f] == value)
      rows = alike[generator.integers(len(alike), size=BATCH)]
      half[f, np.argmin(codes[rows].var(axis=0, ddof=1) / variance)] += 1
  training, evaluation = found
  right = evaluation[training.argmax(axis=0), np.arange(len(active))]
  return float(right.sum() / evaluation.sum())


def probe(
  codes, factors, test_codes, test_factors, real, angle=False
) -> list[dict]:
  """Tell each factor linearly from all codes together.

  Returns:
    Of each factor {"accuracy", "chance"} on the test rows, chance being that
    of the commonest level of the training rows; of a real one {"r2"}.
  """
  found = []
  angles = np.broadcast_to(angle, factors.shape[1])
  for f, is_real in enumerate(np.broadcast_to(real, factors.shape[1])):
    y = factors[:, f]
    wanted = test_factors[:, f]
    if is_real:
      y, wanted = (_targets(column, angles[f]) for column in (y, wanted))
      line = make_pipeline(StandardScaler(), Ridge(1.0)).fit(codes, y)
      guess = line.predict(test_codes).reshape(wanted.shape)
      share = r2_score(wanted, guess, multioutput="variance_weighted")
      found.append({"r2": float(share)})
      continue
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    _quietly(model.fit, codes, y)
    commonest = stats.mode(y).mode
    found.append(
      {
        "accuracy": float(model.score(test_codes, wanted)),
        "chance": float(np.mean(wanted == commonest)),
      }
    )
  return found


def _quietly(fit: Any, *arrays: NDArray) -> None:
  """Fit without the warning that the solver has not fully converged."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    fit(*arrays)
