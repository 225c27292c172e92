"""The operations with gradients of our own equal the plain ones."""

import jax
import numpy as np
import pytest

from cvae_jax.nets.fast import ops

pytestmark = pytest.mark.usefixtures("optimised")

PLAIN = {
  "add_bias": lambda x, bias: x + bias,
  "silu": lambda x: jax.nn.silu(x),
  "column_sums": lambda x: x.reshape(-1, x.shape[-1]).sum(axis=0),
  "product": lambda x, kernel: x @ kernel,
}
CASES = [
  ("add_bias", [(3, 4, 5), (5,)]),
  ("silu", [(3, 40)]),
  ("column_sums", [(2, 3, 5)]),
  ("product", [(2, 3, 6), (6, 4)]),  # as many rows as inputs, and more
  ("product", [(2, 3, 5), (5, 4)]),
]
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def value_and_gradients(f, arguments):
  y, vjp = jax.vjp(f, *arguments)
  return (y, *vjp(np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "shapes"), CASES)
def test_values_and_gradients_equal_the_plain_form(name, shapes, dtype):
  rng = np.random.default_rng(0)
  arguments = [rng.standard_normal(s).astype(dtype) * 3 for s in shapes]
  with jax.numpy_rank_promotion("allow"), jax.enable_x64(dtype == "float64"):
    got = value_and_gradients(getattr(ops, name), arguments)
    expected = value_and_gradients(PLAIN[name], arguments)
  for a, b in zip(got, expected, strict=True):
    assert a.dtype == b.dtype == dtype
    scale = abs(np.asarray(b)).max()
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


def test_silu_stays_finite_where_its_exponential_does_not():
  x = np.array([-1e4, -100.0, 0.0, 100.0, 1e4], np.float32)
  y, slope = jax.vjp(ops.silu, x)
  np.testing.assert_allclose(y, [0, 0, 0, 100, 1e4], atol=1e-30)
  np.testing.assert_allclose(slope(np.ones_like(x))[0], [0, 0, 0.5, 1, 1])
