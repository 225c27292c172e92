"""Batches: each row once an epoch, and a pure function of (seed, step)."""

import numpy as np
import pytest

from cvae_jax.loop import batches


@pytest.mark.parametrize(("rows", "size"), [(64, 8), (10, 10), (33, 4), (7, 2)])
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_takes_no_row_twice_and_drops_less_than_a_batch(
  rows, size, epoch
):
  steps = batches.steps_per_epoch(rows, size)
  taken = np.concatenate(
    [batches.rows_at(3, epoch * steps + i, rows, size) for i in range(steps)]
  )
  assert len(np.unique(taken)) == len(taken) == rows - rows % size
  assert taken.min() >= 0
  assert taken.max() < rows


def test_the_rows_left_over_differ_between_epochs():
  def left(epoch):
    taken = [batches.rows_at(0, epoch * 8 + i, 33, 4) for i in range(8)]
    return (set(range(33)) - set(np.concatenate(taken).tolist())).pop()

  assert len({left(epoch) for epoch in range(20)}) > 5


def test_epochs_seeds_and_their_neighbours_are_shuffled_differently():
  orders = [
    tuple(batches.permutation(seed, epoch, 100).tolist())
    for seed in range(4)
    for epoch in range(4)
  ]
  assert len(set(orders)) == 16
  assert all(sorted(order) == list(range(100)) for order in orders)


def test_shuffles_are_uniform():
  # Where row 0 lands over 4,000 epochs: chi-square of 10 places.
  places = [
    int(np.flatnonzero(batches.permutation(0, epoch, 10) == 0)[0])
    for epoch in range(4000)
  ]
  counts = np.bincount(places, minlength=10)
  assert ((counts - 400) ** 2 / 400).sum() < 33.7  # 9 degrees: 1 in 10,000


def test_batches_do_not_depend_on_what_was_asked_before():
  steps = np.random.default_rng(0).integers(0, 500, 60)
  in_order = {s: batches.rows_at(1, s, 50, 7) for s in sorted(set(steps))}
  batches.permutation.cache_clear()
  for step in steps:  # jumps between epochs, and evicts the cache
    np.testing.assert_array_equal(
      batches.rows_at(1, int(step), 50, 7), in_order[step]
    )


def test_the_cached_order_cannot_be_spoilt():
  with pytest.raises(ValueError, match="read-only"):
    batches.permutation(0, 0, 10)[0] = 5


def test_published_epochs_have_1875_steps():
  assert batches.steps_per_epoch(60_000, 32) == 1875


def test_too_few_rows_for_a_batch_is_an_error_with_both_numbers():
  with pytest.raises(ValueError, match=r"31 rows.* 32; lower batch_size"):
    batches.steps_per_epoch(31, 32)


@pytest.mark.parametrize(
  ("rows", "size"), [(10, 4), (8, 4), (3, 4), (1, 1), (500, 32)]
)
def test_padded_covers_each_row_once_in_order(rows, size):
  covered = []
  for numbers, mask in batches.padded_batches(rows, size):
    assert numbers.shape == mask.shape == (size,)
    assert numbers.max() < rows  # padding can be gathered too
    covered += numbers[mask].tolist()
  assert covered == list(range(rows))
