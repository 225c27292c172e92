"""Meters: late, exact across a resume, and precise about what went wrong."""

import json
import math

import numpy as np
import pytest

from cvae_jax.loop.meter import Meter, NonFinite


def metrics(*losses, **more):
  """Return what a dispatch of len(losses) updates gives, in float32."""
  columns = {"model/loss": losses} | more
  return {name: np.float32(values) for name, values in columns.items()}


def draw(count):
  return np.random.default_rng(0).uniform(0, 100, count).astype(np.float32)


def feed(meter, losses, first=0):
  for i, loss in enumerate(losses):
    meter.push(first + i, metrics(loss))


def test_means_are_exact_float64_means_of_the_float32_values():
  meter = Meter()
  losses = draw(1000)
  feed(meter, losses)
  meter.drain()
  expected = math.fsum(losses.tolist()) / 1000
  for name in ("window", "epoch"):
    np.testing.assert_allclose(
      meter.take(name)["model/loss"], expected, rtol=1e-14
    )


def test_a_push_of_several_updates_counts_each():
  meter = Meter()
  meter.push(0, metrics(1.0, 2.0, 6.0))
  meter.push(3, metrics(7.0))
  meter.drain()
  assert meter.take("epoch") == {"model/loss": 4.0}
  assert meter.loss == 7.0


def test_window_and_epoch_start_anew_each_by_itself():
  meter = Meter()
  feed(meter, [1.0, 3.0])
  meter.drain()
  assert meter.take("window") == {"model/loss": 2.0}
  feed(meter, [8.0], first=2)
  meter.drain()
  assert meter.take("window") == {"model/loss": 8.0}
  assert meter.take("epoch") == {"model/loss": 4.0}


def test_means_of_a_player_that_rests_are_over_the_steps_in_which_it_moved():
  meter = Meter()
  moves = [0.0, 1.0, 0.0, 1.0]
  loss = [0.0, 3.0, 0.0, 5.0]
  resting = {"generator/moves": moves, "generator/loss": loss}
  meter.push(0, metrics(1.0, 2.0, 3.0, 6.0, **resting))
  meter.drain()
  assert meter.take("window") == {
    "model/loss": 3.0,
    "generator/moves": 0.5,
    "generator/loss": 4.0,
  }
  resting = {name: [0.0] for name in resting}
  meter.push(4, metrics(1.0, **resting))
  meter.drain()
  assert meter.take("window") == {"model/loss": 1.0, "generator/moves": 0.0}
  assert meter.take("epoch")["generator/loss"] == 4.0


def test_a_metric_that_some_rows_lack_is_averaged_over_those_that_have_it():
  meter = Meter()
  some = {"model/error": [0.5, 0.0, 3.0], "model/error/known": [0.25, 0.0, 1.0]}
  meter.push(0, metrics(1.0, 2.0, 3.0, **some))
  meter.drain()
  assert meter.take("epoch") == {"model/loss": 2.0, "model/error": 3.5 / 1.25}
  none = {"model/error": [0.0], "model/error/known": [0.0]}
  meter.take("window")
  meter.push(3, metrics(1.0, **none))
  meter.drain()
  assert meter.take("window") == {"model/loss": 1.0}


def test_sums_of_an_older_release_count_as_means_over_all_rows():
  sums = {"count": 2, "sums": {"model/loss": 2.0, "model/error": 4.0}}
  meter = Meter({"epoch": sums})
  some = {"model/error": [1.5], "model/error/known": [0.5]}
  meter.push(2, metrics(1.0, **some))
  meter.drain()
  assert meter.take("epoch") == {"model/loss": 1.0, "model/error": 5.5 / 2.5}


@pytest.mark.parametrize("stop", [1, 37, 50, 99])
def test_means_after_a_json_round_trip_are_equal_to_the_last_bit(stop):
  losses = draw(100)
  whole = Meter()
  first = Meter()
  feed(whole, losses)
  whole.drain()
  feed(first, losses[:stop])
  first.drain()
  second = Meter(json.loads(json.dumps(first.to_json()))["sums"])
  feed(second, losses[stop:], first=stop)
  second.drain()
  for name in ("window", "epoch"):
    assert second.take(name) == whole.take(name)  # ==, not nearly


def test_sums_given_to_a_checkpoint_do_not_change_while_it_is_written():
  # Orbax serialises them on another thread, after training has gone on.
  meter = Meter()
  feed(meter, [1.0])
  meter.drain()
  handed_over = meter.to_json()
  before = json.dumps(handed_over)
  feed(meter, [5.0, 6.0], first=1)
  meter.drain()
  assert json.dumps(handed_over) == before


class Fetched:
  """Metrics that note when they are fetched."""

  def __init__(self, log, step):
    self.log = log
    self.step = step

  def __array__(self, dtype=None, copy=None):
    self.log.append(self.step)
    return np.float32([self.step])


def test_a_push_fetches_the_step_before_and_never_its_own(monkeypatch):
  log = []
  meter = Meter()

  def fetch(tree):
    return {name: np.asarray(value) for name, value in tree.items()}

  monkeypatch.setattr("cvae_jax.loop.meter.jax.device_get", fetch)
  for step in range(3):
    meter.push(step, {"model/loss": Fetched(log, step)})
    assert log == list(range(step))
  meter.drain()
  assert log == [0, 1, 2]
  meter.drain()  # nothing is pending, nothing is added twice
  assert log == [0, 1, 2]
  assert meter.take("epoch") == {"model/loss": 1.0}


def test_loss_is_unknown_until_the_first_fetch_and_then_the_first_players():
  meter = Meter()
  assert math.isnan(meter.loss)
  meter.push(0, {"critic/loss": np.float32([2]), "model/loss": np.float32([3])})
  assert math.isnan(meter.loss)
  meter.drain()
  assert meter.loss == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_non_finite_tells_the_step_the_names_and_what_was_last_finite(
  value, place
):
  meter = Meter()
  meter.push(4, metrics(1.5, accuracy=[0.25]))
  losses = [2.5, 2.5, 2.5]
  losses[place] = value
  # It raises one push later.
  meter.push(5, metrics(*losses, accuracy=[0.5, 0.5, 0.5]))
  with pytest.raises(NonFinite) as error:
    meter.push(8, metrics(1.0, accuracy=[0.0]))
  # Steps are counted as completed updates: update 5 is the step to 6.
  assert error.value.step == 6 + place
  text = str(error.value)
  assert f"step {6 + place}: model/loss not finite" in text
  last = (
    "accuracy 0.25, model/loss 1.5"
    if place == 0
    else "accuracy 0.5, model/loss 2.5"
  )
  assert f"last finite metrics (step {5 + place}): {last}" in text


def test_non_finite_in_the_first_step_of_all_says_there_was_none():
  meter = Meter()
  meter.push(0, metrics(math.nan, accuracy=[math.inf]))
  with pytest.raises(
    NonFinite, match=r"accuracy, model/loss not finite.*: none"
  ):
    meter.drain()


def test_what_is_not_finite_never_enters_the_sums():
  meter = Meter()
  meter.push(0, metrics(1.0))
  meter.push(1, metrics(math.nan))
  with pytest.raises(NonFinite):
    meter.drain()
  assert meter.take("epoch") == {"model/loss": 1.0}
