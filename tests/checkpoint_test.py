"""Checkpoints: what is saved comes back, and what does not fit is named."""

import gc
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cvae_jax.loop.folder import checkpoint
from cvae_jax.loop.folder.checkpoint import (
  CheckpointError,
  Checkpoints,
  check_names,
  shapes,
)
from cvae_jax.types import TrainState


def make(seed=0, wide=3):
  draw = np.random.default_rng(seed)
  params = {
    "encoder": {"dense": {"kernel": jnp.asarray(draw.normal(size=(2, wide)))}},
    "decoder": {"bias": jnp.asarray(draw.normal(size=4), jnp.bfloat16)},
  }
  return TrainState(
    step=jnp.int32(seed),
    params=params,
    model_state={"count": jnp.uint8(seed)},
    opt_state={"model": optax.adam(1e-3).init(params)},
  )


def abstract(state):
  return jax.eval_shape(lambda: state)


@pytest.fixture
def checkpoints(tmp_path):
  opened = Checkpoints(tmp_path)
  yield opened
  opened.close()


def test_a_state_comes_back_in_every_bit_with_its_counters(checkpoints):
  state = make(3)
  counters = {"sums": {"epoch": {"count": 2, "sums": {"loss": 1 / 3}}}}
  checkpoints.save(3, state, counters)
  restored, found = checkpoints.restore(3, abstract(state))
  assert found == counters
  pairs = zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True)
  for a, b in pairs:
    assert a.dtype == b.dtype
    assert np.array_equal(a, b)
  assert jax.tree.structure(state) == jax.tree.structure(restored)


def test_a_saved_state_may_be_donated_at_once(checkpoints):
  state = make(1)
  expected = jax.tree.map(np.array, state)
  spoil = jax.jit(lambda s: jax.tree.map(jnp.zeros_like, s), donate_argnums=0)
  checkpoints.save(1, state, {})
  spoil(state)
  restored, _ = checkpoints.restore(1, abstract(make(1)))
  assert jax.tree.all(jax.tree.map(np.array_equal, expected, restored))


def test_the_latest_ones_are_kept(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep=2)
  assert checkpoints.latest() is None
  for step in (2, 5, 7):
    checkpoints.save(step, make(step), {})
  assert checkpoints.latest() == 7
  checkpoints.close()
  found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
  assert found == ["5", "7"]


def test_a_save_leaves_few_objects_behind(checkpoints):
  # Tensorstore never frees what it answers to orbax's questions for its
  # counters and, array by array, for the folder's spec: 360 objects a save.
  def objects_after(steps):
    for step in steps:
      checkpoints.save(step, make(step), {})
    assert checkpoints.steps()[-1] == steps[-1]
    gc.collect()
    return sys.getallocatedblocks()

  before = objects_after(range(1, 6))
  after = objects_after(range(6, 16))
  assert (after - before) / 10 < 100  # and caches that fill at first


def test_saving_the_latest_step_again_changes_nothing(checkpoints):
  checkpoints.save(4, make(4), {"first": 1})
  checkpoints.save(4, make(5), {"second": 1})
  restored, counters = checkpoints.restore(4, abstract(make(4)))
  assert restored.step == 4
  assert counters == {"first": 1}


def test_a_missing_step_is_answered_with_those_there_are(checkpoints):
  checkpoints.save(4, make(), {})
  with pytest.raises(CheckpointError, match=r"no checkpoint 3 .*\[4\]"):
    checkpoints.restore(3, abstract(make()))


def test_another_shape_is_named_wherever_it_is(checkpoints):
  checkpoints.save(4, make(), {})
  with pytest.raises(CheckpointError) as error:
    checkpoints.restore(4, abstract(make(wide=5)))
  text = str(error.value)
  name = "params/encoder/dense/kernel is (2, 3), expected (2, 5)"
  assert f"shape: {name}" in text
  assert "checkpoints/4" in text
  assert "3 differences" in text  # the parameter and Adam's two moments
  assert text.count("shape: opt_state/model/0/") == 2


def test_missing_extra_and_other_shapes_are_listed_together():
  expected = {"a": (1,), "b": (2,), "same": ()}
  found = {"b": (3,), "c": (4,), "same": ()}
  with pytest.raises(CheckpointError) as error:
    check_names(expected, found, "checkpoint here")
  assert str(error.value).splitlines() == [
    "checkpoint here does not fit this config (3 differences):",
    "  extra: c (4,)",
    "  missing: a (1,)",
    "  shape: b is (3,), expected (2,)",
  ]


def test_a_long_list_of_differences_is_cut():
  expected = {f"leaf{i:03}": () for i in range(500)}
  with pytest.raises(CheckpointError, match="500 differences") as error:
    check_names(expected, {}, "checkpoint here")
  assert len(str(error.value).splitlines()) < 30


def test_names_of_leaves_are_paths():
  assert shapes(make())["params/encoder/dense/kernel"] == (2, 3)
  assert shapes(make())["step"] == ()
  assert "opt_state/model/0/mu/decoder/bias" in shapes(make())


def test_a_checkpoint_that_vanishes_while_listed_is_not_missed(
  tmp_path, monkeypatch
):
  """A training deletes it between the listing and the look at its time."""
  manager = checkpoint.ocp.CheckpointManager
  vanished = []

  def listing(*words, **options):
    if len(vanished) < 3:
      vanished.append(FileNotFoundError("checkpoints/82"))
      raise vanished[-1]
    return manager(*words, **options)

  monkeypatch.setattr(checkpoint.ocp, "CheckpointManager", listing)
  checkpoints = Checkpoints(tmp_path)
  assert checkpoints.steps() == []
  checkpoints.close()
  assert len(vanished) == 3
