"""Winograd's convolutions equal those by loops, and lax's with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.nets.fast import conv, winograd
from tests import conv_test

SMALL = (2, 6)  # of a map: one tile high, three wide
BOTH = pytest.mark.parametrize("transposed", [False, True])
KERNELS = winograd.STRIDE
EACH = pytest.mark.parametrize("k", KERNELS)


def maps(k, transposed, dtype):
  """Return x, kernel, bias and a cotangent; 3 channels large and 4 small."""
  stride = winograd.STRIDE[k]
  large = (2, *(stride * n for n in SMALL), 3)
  small = (2, *SMALL, 4)
  x, y = (small, large) if transposed else (large, small)
  shapes = (x, (k, k, x[-1], y[-1]), (y[-1],), y)
  return conv_test.draw(0, *shapes, dtype=dtype)


def convolve(transposed, x, kernel, bias=None, fast=True):
  how = conv.conv_transpose if transposed else conv.conv
  return how(x, kernel, winograd.STRIDE[len(kernel)], bias=bias, fast=fast)


@pytest.fixture(autouse=True)
def every_width(monkeypatch):
  monkeypatch.setattr(winograd, "CHANNELS", dict.fromkeys(KERNELS, 1))
  # Whatever is not Winograd's would be one of these.
  for other in ("_conv", "fold"):
    monkeypatch.setattr(conv, other, None)


@BOTH
@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_equals_loops_and_with_its_gradients_lax(k, transposed, dtype):
  with jax.enable_x64(dtype == "float64"):
    x, kernel, bias, cotangent = maps(k, transposed, dtype)
    got, expected = (
      conv_test.value_and_gradients(
        lambda x, w, b, fast=fast: convolve(transposed, x, w, b, fast),
        x,
        kernel,
        bias,
        cotangent,
      )
      for fast in (True, False)
    )
  conv_test.assert_close(got, expected, dtype)
  if transposed:
    by_loops = conv_test.transpose_by_loops(x, kernel, winograd.STRIDE[k])
  else:
    by_loops = conv_test.conv_by_loops(x, kernel, winograd.STRIDE[k], "SAME")
  conv_test.assert_close(got[:1], [by_loops + bias], dtype)


@BOTH
@EACH
def test_second_derivatives_equal_lax(k, transposed):
  x, kernel, *_ = maps(k, transposed, "float32")

  def penalty(kernel, fast):
    def f(x):
      return jnp.sum(convolve(transposed, x, kernel, fast=fast) ** 3)

    return jnp.sum(jax.grad(f)(x) ** 2)

  got, expected = (
    jax.jit(jax.grad(penalty), static_argnums=1)(kernel, fast)
    for fast in (True, False)
  )
  np.testing.assert_allclose(
    got, expected, rtol=2e-4, atol=1e-5 * abs(expected).max()
  )


@pytest.mark.parametrize(
  ("large", "kernel", "stride", "suits"),
  [
    ((1, 8, 4, 64), (4, 4, 64, 128), 2, True),
    ((1, 8, 6, 64), (4, 4, 64, 128), 2, False),  # three small columns
    ((1, 8, 4, 63), (4, 4, 63, 128), 2, False),
    ((1, 8, 4, 64), (4, 4, 64, 128), 1, False),
    ((1, 8, 4, 128), (3, 3, 128, 128), 2, False),
    ((1, 2, 6, 128), (3, 3, 128, 128), 1, True),
    ((1, 2, 5, 128), (3, 3, 128, 128), 1, False),
    ((1, 2, 6, 64), (3, 3, 64, 128), 1, False),
    ((1, 4, 4, 128), (5, 5, 128, 128), 1, False),
  ],
)
def test_it_is_for_wide_maps_of_whole_tiles(
  large, kernel, stride, suits, monkeypatch
):
  monkeypatch.setattr(winograd, "CHANNELS", {3: 128, 4: 64})
  assert winograd.is_faster(large, kernel, stride) == suits
