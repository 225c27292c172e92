"""data.from_arrays with groups: images of one person stay together."""

import numpy as np
import pandas as pd
import pytest

from cvae_jax import data

RNG = np.random.default_rng(0)
PEOPLE = RNG.integers(0, 30, 200)


def made(groups, **changes):
  """Returns data whose images say, by their grey, which row they are."""
  rows = np.arange(200, dtype=np.uint8)
  images = np.broadcast_to(rows[:, None, None], (200, 4, 4))
  return data.from_arrays(images, {}, groups=groups, **changes)


def rows_of(part):
  return part["image"][:, 0, 0, 0]


@pytest.mark.parametrize(
  "groups",
  [
    PEOPLE,
    PEOPLE.astype(str),
    PEOPLE.tolist(),
    pd.Series(PEOPLE, index=range(500, 700)),
    pd.Categorical(PEOPLE.astype(str)),
  ],
  ids=["numbers", "words", "list", "series", "categorical"],
)
def test_a_group_trains_or_is_held_out_as_a_whole(groups):
  found = made(groups, held_out=0.2)
  train, test = rows_of(found.train), rows_of(found.test)
  assert sorted([*train, *test]) == list(range(200))
  assert not set(PEOPLE[train]) & set(PEOPLE[test])
  assert len(test) == pytest.approx(40, abs=10)
  assert train.tolist() != sorted(train)  # they are shuffled, too


def test_another_seed_holds_other_groups_out_and_none_all():
  first, again, other = (made(PEOPLE, seed=s) for s in (0, 0, 1))
  np.testing.assert_array_equal(rows_of(first.test), rows_of(again.test))
  held_out = [set(PEOPLE[rows_of(d.test)]) for d in (first, other)]
  assert held_out[0] != held_out[1]
  assert made(PEOPLE, held_out=0.0).test is None


@pytest.mark.parametrize(
  ("groups", "said"),
  [
    (PEOPLE[:7], "groups has 7 rows, images 200"),
    ([None, *PEOPLE[1:]], "groups: row 0 has none"),
    (np.zeros(200, int), "1 groups are too few to hold out 0.1"),
  ],
)
def test_groups_that_do_not_fit_are_refused(groups, said):
  with pytest.raises(data.DataError, match=said):
    made(groups)
