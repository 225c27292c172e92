"""Early stopping and plateaus: Keras's rules, exact under kill and resume."""

import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from benchmarks import equal_runs, soak_resume as soak
from cvae_jax import config as configs, runs, train
from cvae_jax.config import ConfigError
from cvae_jax.loop import begin
from cvae_jax.loop.folder import fixed
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.record import RunMismatch
from cvae_jax.loop.watch import Watch
from cvae_jax.method import additions, update
from cvae_jax.types import Player, System
from tests import small
from tests.resume_test import equal

pytestmark = pytest.mark.usefixtures("shared_programs")

STOP = {"metric": "accuracy", "mode": "max", "patience": 3, "restore": True}
CUT = {"metric": "cross_entropy", "patience": 2, "min_delta": 0.01}
LONG = 14  # epochs, more than the run will want


def rules(early_stop=(), plateau=()):
  changes = {"early_stop": dict(early_stop), "plateau": dict(plateau)}
  return configs.ConfigDict(configs.loop(**changes))


def watched(data, **changes):
  values = {
    f"{group}__{name}": value
    for group, rule in (("early_stop", STOP), ("plateau", CUT))
    for name, value in rule.items()
  }
  values |= {"epochs": LONG, "optim__lr": 0.03, "checkpoint_every": 25}
  return small.config(data, "classifier", **(values | changes))


# Keras 2.9, callbacks.py: EarlyStopping and ReduceLROnPlateau, as they are.


def keras_stops(values, mode, patience, min_delta):
  """Return (evaluation that stops or None, the best one), counted from 0."""
  better = np.less if mode == "min" else np.greater
  min_delta *= -1 if mode == "min" else 1
  best = np.inf if mode == "min" else -np.inf
  wait = 0
  best_at = None
  for at, value in enumerate(values):
    wait += 1
    if better(value - min_delta, best):
      best = value
      wait = 0
      best_at = at
    if wait >= patience and at > 0:
      return at, best_at
  return None, best_at


def keras_rates(values, mode, patience, min_delta, factor, floor):
  """Return the learning rate, 1 at first, after each evaluation."""
  rate = 1.0
  wait = 0
  rates = []
  best = np.inf if mode == "min" else -np.inf
  for value in values:
    better = (
      np.less(value, best - min_delta)
      if mode == "min"
      else np.greater(value, best + min_delta)
    )
    if better:
      best = value
      wait = 0
    else:
      wait += 1
      if wait >= patience and rate > floor:
        rate = max(rate * factor, floor)
        wait = 0
    rates.append(rate)
  return rates


@pytest.mark.parametrize("seed", range(8))
def test_decisions_are_kerass_also_across_a_save(seed):
  draw = np.random.default_rng(seed)
  values = np.round(np.cumsum(draw.normal(-0.05, 1, 60)), 1).tolist()
  if seed % 4 == 3:
    values[0] = values[9] = math.nan
  mode = ("min", "max")[seed % 2]
  rule = {"mode": mode, "min_delta": draw.choice([0.0, 0.25])}
  stops = rule | {"patience": int(draw.integers(2, 9))}
  cuts = rule | {"patience": 2, "factor": 0.5, "floor": 0.1}
  config = rules({"metric": "m", **stops}, {"metric": "m", **cuts})
  watch = Watch(config)
  factors = []
  stopped = None
  for at, value in enumerate(values):
    watch.see(at, {"m": value})
    factors.append(watch.factor)
    if stopped is None and watch.stopped:
      stopped = at, watch.best_step
    watch = Watch(config, json.loads(json.dumps(watch.to_json())))
  assert (stopped or (None, watch.best_step)) == keras_stops(values, **stops)
  assert factors == keras_rates(values, **cuts)
  assert stopped or seed not in (0, 1)  # some of them do


def curves():
  """Return metrics as they come: falling, turning, swinging, standing still."""
  draw = np.random.default_rng(0)
  t = np.arange(80)
  noise = draw.normal(0, 0.1, (6, len(t)))
  yield from (np.exp(-t / 15) + noise[0], (t / 40 - 1) ** 2 + 1 + noise[1])
  yield 2 + np.sin(t / 6) + noise[2]
  yield np.where(t < 30, 1.0, 0.5) + 0.2 * noise[3]
  yield np.where(t % 9 == 4, np.nan, 3 / (1 + t)) + noise[4]
  yield np.full(len(t), 0.7)


def replay(values, mode, patience, relative, smoothing, min_delta=0.0):
  """Return (evaluation that stops or None, the best one), counted from 0."""
  series = pd.Series(values if mode == "min" else np.negative(values))
  means = series.ewm(alpha=1 - smoothing, adjust=False, ignore_na=True).mean()
  best_at = series.first_valid_index()
  for at in range(best_at + 1, len(values)):
    best = means[best_at]
    if means[at] < best - min_delta - relative * abs(best):
      best_at = at
    elif at - best_at >= patience:
      return at, best_at
  return None, best_at


@pytest.mark.parametrize(
  ("smoothing", "relative", "mode"),
  [
    (0.0, 0.01, "min"),
    (0.6, 0.01, "min"),
    (0.9, 0.0, "max"),
    (0.6, 0.1, "max"),
  ],
)
def test_a_smoothed_metric_stops_where_a_replay_says_across_saves(
  smoothing, relative, mode
):
  rule = {"mode": mode, "smoothing": smoothing, "relative": relative}
  stops = []
  for values in curves():
    values = values if mode == "min" else -values
    config = rules({"metric": "m", "patience": 5, **rule})
    watch = Watch(config)
    at = 0
    while at < len(values) and not watch.stopped:
      watch.see(at, {"m": float(values[at])})
      watch = Watch(config, json.loads(json.dumps(watch.to_json())))
      at += 1
    stops.append((at - 1 if watch.stopped else None, watch.best_step))
    assert stops[-1] == replay(values, patience=5, **rule)
  assert len({*stops}) > 2  # they are not all alike


def test_without_rules_nothing_is_decided():
  watch = Watch(rules())
  for step in range(99):
    watch.see(step, {})
  assert not watch.stopped
  assert (watch.best_step, watch.factor, watch.schedules()) == (None, 1.0, {})


def test_a_factor_scales_the_next_update_and_recompiles_nothing():
  def loss(params, model_state, batch, key, step):
    return (params["w"]["x"] ** 2).sum(), ({}, model_state)

  players = {"model": Player(loss, optax.adam(0.5), ("w",))}
  params = {"w": {"x": jnp.arange(1.0, 4.0)}}
  system = System(
    init=lambda key: update.init_state(players, params),
    step=update.make_step(players),
    evaluate=None,
    columns={},
  )
  step = jax.jit(system.step)
  key = jax.random.key(0)
  plain = step(system.init(key), {}, key, 0)[0]
  full = additions.adjustable(system).init(key)
  full = jax.device_put(full, jax.devices()[0])  # as a checkpoint brings it
  moves = []
  for factor in (1.0, 0.25):
    state, _ = step(additions.set_factor(full, factor), {}, key, 0)
    moves.append(state.params["w"]["x"] - params["w"]["x"])
  assert step._cache_size() == 2  # with and without a factor
  assert np.array_equal(params["w"]["x"] + moves[0], plain.params["w"]["x"])
  np.testing.assert_allclose(moves[1], 0.25 * moves[0], rtol=1e-6)
  assert additions.set_factor(plain, 0.5) is plain  # has no factor to set


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
  """(folder, returned state) of a run that a metric stopped."""
  folder = tmp_path_factory.mktemp("watched")
  return folder, train.train_and_evaluate(watched(data), folder)


def evaluations(folder, metric):
  rows = [row for row in read_metrics(folder) if row["split"] == "test"]
  return [row["step"] for row in rows], [row[metric] for row in rows]


def test_a_run_stops_where_its_logged_metric_says(whole):
  folder, state = whole
  steps, values = evaluations(folder, "accuracy")
  at, best = keras_stops(values, "max", 3, 0.0)
  assert at == len(values) - 1 < LONG - 1
  assert 0 < best < at
  assert (folder / "DONE").exists()
  assert state.step == steps[best]
  # Latest ones come and go, the best stays.
  assert soak.list_saved_steps(folder)[0] == steps[best]
  assert soak.list_saved_steps(folder)[-1] == steps[at]


def test_the_best_state_is_restored_bit_for_bit(data, whole, tmp_path):
  """A run that is as long as the best is early has the same parameters."""
  folder, state = whole
  epochs = int(state.step) // small.EPOCH
  config = watched(data, epochs=epochs)
  config.early_stop.metric = ""
  short = train.train_and_evaluate(config, tmp_path)
  assert equal(short, state)
  assert equal(runs.load(folder).state, state)
  latest = runs.load(folder, soak.list_saved_steps(folder)[-1]).state
  assert not equal(latest.params, state.params)
  taken = begin.borrow(jax.tree.map(jnp.zeros_like, state), f"{folder}")
  assert equal(taken.params, state.params)


def test_a_metric_that_no_held_out_row_has_is_named():
  rule = configs.load("digits:smoke", {"early_stop.metric": "error_size"})
  with pytest.raises(ConfigError, match=r"error_size, by which .* no held-out"):
    Watch(rule).see(1, {"loss": 1.0})


def test_the_logged_factor_is_cut_where_the_logged_metric_says(whole):
  folder, _ = whole
  steps, values = evaluations(folder, "cross_entropy")
  factors = keras_rates(values, "min", 2, 0.01, 0.1, 0.0)
  assert factors[-1] < 1
  after = dict(zip(steps, factors, strict=True))
  for row in read_metrics(folder):
    if row["split"] == "train":  # of the update that made this step
      seen = [factor for step, factor in after.items() if step < row["step"]]
      expected = seen[-1] if seen else 1.0
      assert row["schedule/learning_rate_factor"] == expected
  state, _ = equal_runs.final_state(folder)
  assert state.opt_state[update.FACTOR] == np.float32(factors[-1])


def test_half_a_run_and_a_resume_decide_as_the_whole_run(data, whole, tmp_path):
  train.train_and_evaluate(watched(data, epochs=2), tmp_path)
  state = train.train_and_evaluate(watched(data), tmp_path)
  assert equal_runs.differences(whole[0], tmp_path) == []
  assert equal(state, whole[1])


class Killed(BaseException):
  """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("at", ["best", "end"])
def test_a_kill_between_evaluation_and_save_leaves_no_trace(
  data, whole, tmp_path, monkeypatch, at
):
  steps = {
    "best": int(whole[1].step),
    "end": soak.list_saved_steps(whole[0])[-1],
  }
  save = Checkpoints.save

  def killed(checkpoints, step, *rest, **named):
    if step == steps[at]:
      raise Killed
    save(checkpoints, step, *rest, **named)

  with monkeypatch.context() as patch:
    patch.setattr(Checkpoints, "save", killed)
    with pytest.raises(Killed):
      train.train_and_evaluate(watched(data), tmp_path)
  assert evaluations(tmp_path, "accuracy")[0][-1] == steps[at]
  assert soak.list_saved_steps(tmp_path)[-1] < steps[at]
  state = train.train_and_evaluate(watched(data), tmp_path)
  assert equal_runs.differences(whole[0], tmp_path) == []
  assert equal(state, whole[1])


def test_a_signal_in_mid_patience_and_a_resume_end_alike(data, whole, tmp_path):
  small.stop(watched(data), tmp_path, soak.list_saved_steps(whole[0])[-1] - 1)
  assert equal(train.train_and_evaluate(watched(data), tmp_path), whole[1])
  assert equal_runs.differences(whole[0], tmp_path) == []


def test_a_stopped_run_is_finished_and_its_rule_cannot_change(
  data, whole, tmp_path, capsys
):
  folder = shutil.copytree(whole[0], tmp_path / "copy")
  (folder / "DONE").unlink()  # killed before it could say so
  rows = read_metrics(folder)
  state = train.train_and_evaluate(watched(data), folder)
  assert equal(state, whole[1])
  assert (folder / "DONE").exists()
  state = train.train_and_evaluate(watched(data, epochs=LONG + 5), folder)
  assert "already finished" in capsys.readouterr().out
  assert equal(state, whole[1])
  assert read_metrics(folder) == rows
  with pytest.raises(RunMismatch, match=r"early_stop.patience: 3 → 4"):
    train.train_and_evaluate(watched(data, early_stop__patience=4), folder)


def test_a_run_from_before_there_were_rules_goes_on(data, tmp_path):
  config = small.config(data, epochs=1)
  old = json.loads(configs.to_json(config))
  del old["early_stop"], old["plateau"]["smoothing"], old["distance"]
  assert fixed.differences(configs.from_json(json.dumps(old)), config) == []


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"early_stop__metric": "los"},
      r"'los'; expected one of accuracy, cross_e",
    ),
    ({"plateau__mode": "least"}, r"plateau: .* mode min or max; found 2 and"),
    ({"early_stop__patience": 0}, r"1 evaluation or more"),
    ({"plateau__factor": 1.5}, r"between 0 and 1; found 1\.5"),
    ({"early_stop__smoothing": 1.0}, r"smoothing: found 1.0; expected a num"),
  ],
)
def test_a_rule_that_cannot_be_followed_is_refused_at_once(
  data, tmp_path, changes, message
):
  with pytest.raises(ConfigError, match=message):
    train.train_and_evaluate(watched(data, **changes), tmp_path)


def test_a_misspelt_key_of_a_rule_is_refused_with_a_suggestion():
  with pytest.raises(ConfigError, match="did you mean 'patience'"):
    configs.loop(plateau={"patienc": 2})
