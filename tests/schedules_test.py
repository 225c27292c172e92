"""Schedules: tables worked out by hand, at the steps where they turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.method import schedules


@pytest.mark.parametrize("step", [0, 1, 10, 1875, 16_875, 76_874, 1_000_000])
def test_inverse_time_is_kerass_arithmetic(step):
  # keras.optimizers (legacy): lr * 1 / (1 + decay * iterations).
  expected = 0.001 * (1.0 / (1.0 + 1e-6 * step))
  schedule = schedules.inverse_time(0.001, 1e-6)
  np.testing.assert_allclose(schedule(step), expected, rtol=1e-15)
  np.testing.assert_allclose(
    jax.jit(schedule)(jnp.int32(step)), expected, rtol=1e-6
  )


def test_inverse_time_ends_where_model_5_ended():
  # The source's 41 epochs of 1,875 steps, final learning rate 0.000929.
  assert round(schedules.inverse_time(0.001, 1e-6)(41 * 1875), 6) == 0.000929


def test_inverse_time_without_decay_is_constant():
  schedule = schedules.inverse_time(0.01, 0.0)
  assert schedule(0) == schedule(10**6) == 0.01


@pytest.mark.parametrize(
  ("step", "weight"),
  [(0, 0.0), (1, 0.0), (1874, 0.0), (1875, 0.32), (1876, 0.32), (10**6, 0.32)],
)
@pytest.mark.parametrize("traced", [False, True])
def test_delayed_starts_at_its_step_exactly(step, weight, traced):
  schedule = schedules.delayed_weight(0.32, 1875)
  got = jax.jit(schedule)(jnp.int32(step)) if traced else schedule(step)
  assert np.float32(got) == np.float32(weight)


def test_delayed_from_step_0_is_never_off():
  schedule = schedules.delayed_weight(0.5, 0)
  assert [float(schedule(step)) for step in (0, 1, 100)] == [0.5] * 3
