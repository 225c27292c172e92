"""Figures of merit of each kind, beside sklearn's and scipy's."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import circmean, spearmanr
from sklearn.metrics import accuracy_score, average_precision_score, r2_score

from cvae_jax.data.conditions import Conditions
from cvae_jax.metrics import merits
from tests.conditions_test import ENTRIES

N = 2000
RNG = np.random.default_rng(0)
VALUES = {
  "shape": RNG.choice(["circle", "square", "triangle"], N),
  "smiling": RNG.choice(["no", "yes"], N),
  "tags": [
    ";".join(np.array(["sea", "sky", "sun"])[mask])
    for mask in RNG.random((N, 3)) < 0.3
  ],
  "grade": RNG.choice(["low", "mid", "high"], N),
  "size": RNG.uniform(0.2, 1.0, N),
  "angle": RNG.uniform(0, 360, N),
  "dose": 10 ** RNG.uniform(-1, 3, N),
}
CONDITIONS = Conditions.fit(ENTRIES, VALUES)
ROWS = CONDITIONS.encode_table(VALUES)
NAMES = list(VALUES)


def entries(name):
  return ROWS[:, CONDITIONS.columns(name)]


def noise(name):
  rng = np.random.default_rng(len(name))
  return rng.random(entries(name).shape).astype(np.float32)


def scored(name, read):
  return merits.score(CONDITIONS.attribute(name), entries(name), read)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_reading_is_perfect_and_not_ignored(name):
  found = scored(name, entries(name))
  best = {
    "hit_rate": 1.0,
    "mean_average_precision": 1.0,
    "rank_correlation": pytest.approx(1.0),
    "r_squared": pytest.approx(1.0),
    "circular_error": pytest.approx(0.0, abs=1e-3),
  }
  figure = CONDITIONS.attribute(name).figure
  assert found[figure] == best[figure]
  assert found["samples"] == N
  assert not merits.describe_ignored(name, found)
  assert merits.text(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_reading_of_noise_is_at_chance_and_ignored(name):
  found = scored(name, noise(name))
  figure = CONDITIONS.attribute(name).figure
  near = {"circular_error": 15.0}.get(figure, 0.15)
  if figure != "r_squared":
    level = 0.0 if figure == "rank_correlation" else found["floor"]
    assert found[figure] == pytest.approx(level, abs=near)
  assert merits.describe_ignored(name, found)


def test_an_ordinal_that_is_noise_is_not_taken_for_an_obedient_class():
  # By the argmax of its two entries every target was the first "class", and
  # a judge that always said so scored 100 %.
  constant = np.tile(np.float32([[0.9, 0.1]]), (N, 1))
  found = scored("grade", constant)
  assert found["rank_correlation"] == 0.0
  assert found["right"] < 0.5
  assert merits.describe_ignored("grade", found)


def test_the_hit_rate_is_sklearns_accuracy():
  for name, guess in (("shape", noise("shape")), ("smiling", noise("smiling"))):
    attribute = CONDITIONS.attribute(name)
    right = accuracy_score(VALUES[name], attribute.decode(guess))
    assert scored(name, guess)["hit_rate"] == pytest.approx(right)


def test_the_average_precision_is_sklearns():
  guess = noise("tags")
  expected = average_precision_score(entries("tags"), guess, average="macro")
  found = scored("tags", guess)
  assert found["mean_average_precision"] == pytest.approx(expected)
  assert found["floor"] == pytest.approx(entries("tags").mean())


def test_the_rank_correlation_is_scipys():
  guess = np.clip(entries("grade") + 0.5 * noise("grade"), 0, 1)
  ranks = [["low", "mid", "high"].index(v) for v in VALUES["grade"]]
  expected = spearmanr(ranks, guess.sum(axis=1)).statistic
  assert scored("grade", guess)["rank_correlation"] == pytest.approx(expected)


def test_r_squared_is_sklearns_in_the_unit_of_the_table():
  guess = entries("size") + 0.3 * noise("size")
  read = CONDITIONS.attribute("size").decode(guess)
  found = scored("size", guess)
  expected = r2_score(VALUES["size"], read)
  assert found["r_squared"] == pytest.approx(expected, abs=1e-5)
  error = np.abs(np.array(read) - VALUES["size"]).mean()
  assert found["mean_absolute_error"] == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize("name", ["size", "angle", "grade"])
@pytest.mark.parametrize("count", [7, 1000])
def test_where_all_requests_are_equal_nothing_is_explained(name, count):
  # The mean of equal numbers may differ from them by rounding.
  asked = np.tile(entries(name)[:1], (count, 1))
  read = np.resize(noise(name), asked.shape)
  for pair in ((asked, read), (read, asked)):
    found = merits.score(CONDITIONS.attribute(name), *pair)
    if pair[0] is asked:
      assert found.get("r_squared", 0.0) == 0.0
      assert found.get("slope", 0.0) == 0.0
    assert found.get("correlation", 0.0) == 0.0
    if name != "angle":
      assert found["floor"] == 0.0


def test_the_circular_error_does_not_see_where_a_turn_begins():
  turned = VALUES["angle"] + 350.0
  guess = CONDITIONS.attribute("angle").encode(turned)
  assert scored("angle", guess)["circular_error"] == pytest.approx(10, abs=1e-3)
  away = circmean(turned - VALUES["angle"], high=360)
  assert away == pytest.approx(350)
  # Of two unrelated angles on a circle: a quarter turn.
  assert scored("angle", noise("angle") - 0.5)["floor"] == pytest.approx(
    90, abs=5
  )


def test_a_change_of_a_class_is_the_share_that_moved():
  low = np.eye(3)[[0, 0, 1, 2]]
  high = np.eye(3)[[0, 1, 1, 1]]
  of = CONDITIONS.attribute("shape")
  assert merits.change(of, low, high) == pytest.approx(0.5)
  two = SimpleNamespace(kind="class")
  assert merits.change(two, low[:, :2], high[:, :2]) == pytest.approx(-0.25)


@pytest.mark.parametrize("kind", ["ordinal", "multilabel", "angle"])
def test_a_change_of_a_second_entry_counts(kind):
  """Of two entries the first alone was looked at, as of a class of two."""
  of = SimpleNamespace(kind=kind)
  low = np.zeros((4, 2))
  high = low + np.array([0.0, 1.0])
  assert merits.change(of, low, high) == pytest.approx(0.5)
  assert merits.change(of, low, low + 1.0) == pytest.approx(1.0)
