"""Forms of bfloat16 products that are fast on CPU: the same numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.loop import precision
from cvae_jax.nets.fast import conv, half, ops

pytestmark = pytest.mark.skipif(
  not precision._is_possible(), reason="this XLA multiplies no bfloat16"
)
CONVOLUTIONS = {  # (x, kernel, bias) -> y, and the shapes
  "stride 1": (conv.conv, (2, 6, 5, 3), (3, 3, 3, 4)),
  "even kernel": (conv.conv, (2, 6, 5, 3), (4, 4, 3, 4)),
  "stride 2": (
    functools.partial(conv.conv, stride=2),
    (2, 8, 6, 3),
    (4, 4, 3, 5),
  ),
  "valid": (
    functools.partial(conv.conv, padding="VALID"),
    (2, 6, 6, 3),
    (3, 3, 3, 4),
  ),
  "subpixel": (
    functools.partial(conv.conv_transpose, stride=2),
    (2, 4, 3, 6),
    (4, 4, 6, 5),
  ),
  "transposed, odd kernel": (
    functools.partial(conv.conv_transpose, stride=2),
    (2, 4, 3, 6),
    (3, 3, 6, 5),
  ),
  "transposed, stride 1": (
    functools.partial(conv.conv_transpose, stride=1),
    (2, 4, 5, 6),
    (4, 4, 6, 3),
  ),
}
CASES = {
  name: (lambda x, w, b, run=run: run(x, w, bias=b), x, w)
  for name, (run, x, w) in CONVOLUTIONS.items()
} | {
  "many rows": (ops.affine, (64, 8), (8, 5)),
  "more inputs": (ops.affine, (2, 40, 7), (7, 9)),
  "a map": (ops.affine, (16, 5), (5, 4096)),
  "no bias": (
    lambda x, w, b: ops.add_bias(ops.product(x, w), b),
    (64, 8),
    (8, 5),
  ),
}
ROUNDING = 2**-8  # half a unit in the last of bfloat16's 8 bits


def rounded(x):
  return np.asarray(jnp.asarray(x, jnp.bfloat16), np.float32)


def draw(case):
  run, x, w = CASES[case]
  rng = np.random.default_rng(0)
  arrays = [rng.standard_normal(shape) for shape in (x, w, w[-1:])]
  return run, *(rounded(array) for array in arrays)


def compiled(function):
  """Compile a function in the fast forms, as a step is."""

  def traced(*given):
    with half.trace_bfloat16(fast_on_cpu=True):
      return function(*given)

  return jax.jit(traced, compiler_options=precision._FAST)


def exact(run, *given):
  """Compute it by lax's plain operations, as the GPU would."""
  with ops.trace_plain():
    return jax.jit(lambda *given: run(*given))(*given)


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_the_exact_one_with_its_result_rounded(case):
  run, *given = draw(case)
  got = compiled(run)(*given)
  assert got.dtype == np.float32
  np.testing.assert_allclose(
    got, exact(run, *given), rtol=ROUNDING, atol=ROUNDING
  )


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_exact_ones_of_a_rounded_gradient(case):
  run, *given = draw(case)
  g = rounded(np.random.default_rng(1).standard_normal(run(*given).shape))

  def slopes(*given):
    return jax.grad(lambda *a: (run(*a) * g).sum(), (0, 1, 2))(*given)

  for got, expected in zip(
    compiled(slopes)(*given), exact(slopes, *given), strict=True
  ):
    assert got.dtype == np.float32
    size = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, atol=ROUNDING * size)


@pytest.mark.parametrize("case", ["stride 1", "stride 2", "subpixel"])
def test_a_penalty_on_a_gradient_has_the_exact_gradient(case):
  run, *given = draw(case)

  def penalty(x, w, b):
    inner = jax.grad(lambda x: (run(x, w, b) ** 2).sum())(x)
    return (inner**2).mean()

  slope = jax.grad(penalty, 1)
  expected = exact(slope, *given)
  got = compiled(slope)(*given)
  np.testing.assert_allclose(
    got, expected, atol=8 * ROUNDING * np.abs(expected).max()
  )


def test_a_dense_layer_of_few_rows_is_not_rounded():
  run, x, w, b = draw("many rows")
  x, w = x[:8] + 1e-4, w + 1e-4
  np.testing.assert_allclose(
    compiled(run)(x, w, b), exact(run, x, w, b), rtol=1e-6, atol=1e-6
  )
