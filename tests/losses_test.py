"""Loss terms: plain NumPy and SciPy say the same, example by example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.method import losses

# Compiled once for all the tests of a shape.
squared_error, grey_level, psnr = map(
  jax.jit, (losses.squared_error, losses.grey_level, losses.psnr)
)
grey_slope = jax.jit(jax.grad(lambda x: losses.grey_level(x).sum()))


def images(seed, low=0.0, high=1.0, shape=(5, 6, 7, 3)):
  rng = np.random.default_rng(seed)
  return rng.uniform(low, high, shape).astype(np.float32)


def test_squared_error_sums_over_the_image_and_not_the_batch():
  target = images(0)
  output = images(1)
  expected = [
    sum((float(a) - float(b)) ** 2 for a, b in zip(t.flat, o.flat, strict=True))
    for t, o in zip(target, output, strict=True)
  ]
  np.testing.assert_allclose(squared_error(target, output), expected, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0001, 1.5, 20.0, -0.1, -3.0])
def test_grey_level_is_zero_outside_of_grey_and_so_is_its_slope(value):
  output = np.full((2, 3, 3, 1), value, np.float32)
  np.testing.assert_array_equal(grey_level(output), 0)
  if value not in (0.0, 1.0):
    np.testing.assert_array_equal(grey_slope(output), 0)


def test_grey_level_is_greatest_at_one_half():
  values = np.linspace(0, 1, 101, dtype=np.float32)
  level = np.asarray(grey_level(values.reshape(-1, 1, 1, 1)))
  assert level.argmax() == 50
  assert level[50] == 0.25
  np.testing.assert_allclose(level, level[::-1], atol=1e-7)  # symmetric


def test_grey_level_sums_the_grey_pixels_alone():
  output = images(2, -0.5, 1.5)
  inside = np.where((output > 0) & (output < 1), output * (1 - output), 0)
  expected = inside.astype(np.float64).sum((1, 2, 3))
  np.testing.assert_allclose(grey_level(output), expected, rtol=1e-5)


@pytest.fixture
def params():
  rng = np.random.default_rng(0)
  return {
    "encoder": {
      "conv": {"kernel": rng.normal(size=(3, 3, 2, 4)), "bias": np.ones(4)},
      "dense": {"kernel": rng.normal(size=(5, 6)), "bias": np.ones(6)},
    },
    "decoder": {"conv": {"kernel": rng.normal(size=(2, 2, 4, 1))}},
    "scale": np.ones(()),
  }


def test_kernel_l2_counts_convolution_kernels_alone(params):
  kernels = params["encoder"]["conv"], params["decoder"]["conv"]
  expected = sum((layer["kernel"] ** 2).sum() for layer in kernels)
  got = losses.kernel_l2(jax.tree.map(jnp.float32, params))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_dense_l2_counts_dense_kernels_alone(params):
  expected = (params["encoder"]["dense"]["kernel"] ** 2).sum()
  got = losses.dense_l2(jax.tree.map(jnp.float32, params))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("term", [losses.kernel_l2, losses.dense_l2])
def test_l2_of_a_net_without_such_kernels_is_a_scalar_zero(term):
  total = term({"bias": jnp.ones(3)})
  assert total.shape == ()
  assert total == 0


@pytest.mark.parametrize("rank", [2, 4])
def test_a_weight_of_l2_multiplies_it_and_at_0_no_kernel_is_read(rank):
  term = {2: losses.dense_l2, 4: losses.kernel_l2}[rank]
  kernel = jnp.full((2,) * rank, 3.0)
  assert term({"kernel": kernel}, 0.5) == 0.5 * 9 * kernel.size
  unread = {"kernel": jnp.full_like(kernel, jnp.nan)}
  assert term(unread, 0.0) == 0


def test_psnr_equals_numpy_with_the_output_clipped():
  target = images(5)
  output = images(6, -0.5, 1.5)
  mse = ((np.float64(target) - np.clip(output, 0, 1)) ** 2).mean((1, 2, 3))
  np.testing.assert_allclose(
    psnr(target, output), 10 * np.log10(1 / mse), rtol=1e-5
  )


def test_psnr_of_a_perfect_image_is_100_and_not_infinite():
  target = images(7)
  np.testing.assert_allclose(psnr(target, target), 100.0, rtol=1e-5)


@pytest.mark.parametrize(
  "term",
  [
    squared_error,
    lambda x, y: grey_level(y),
    psnr,
  ],
  ids=["squared_error", "grey_level", "psnr"],
)
def test_an_example_is_judged_without_its_neighbours(term):
  target = images(8)
  output = images(9)
  together = term(target, output)
  assert together.shape == (5,)
  others = np.roll(target, 1, axis=0), np.roll(output, 2, axis=0)
  for i in range(5):
    for mine, other in zip((target, output), others, strict=True):
      other[i] = mine[i]
    np.testing.assert_array_equal(term(*others)[i], together[i])
