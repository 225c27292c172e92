"""Convolutions: the matrix-product form equals lax's and TensorFlow's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.nets.fast import conv, im2col
from cvae_jax.nets.layers import Conv

KERNELS = (2, 3, 4, 5)
# Kernel, stride and the size up to which a map is small: where that matters,
# also as if all maps were large.
TRANSPOSED = [(k, stride, 8) for k in KERNELS for stride in (1, 2)]
TRANSPOSED += [(4, 2, 0), (6, 2, 0)]
# Odd and even in each: at stride 2 and VALID every kernel leaves a row over
# on one axis and none on the other.
SIZES = {"float32": (9, 6), "float64": (8, 7)}
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


def draw(seed, *shapes, dtype="float64"):
  rng = np.random.default_rng(seed)
  return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(f, x, kernel, bias, cotangent):
  y, vjp = jax.vjp(f, x, kernel, bias)
  return (y, *vjp(cotangent))


def assert_close(got, expected, dtype):
  for a, b in zip(got, expected, strict=True):
    assert a.dtype == b.dtype == dtype
    # Relative to the largest entry: small entries are sums that cancel.
    a = np.asarray(a)
    b = np.asarray(b)
    np.testing.assert_allclose(
      a, b, rtol=0, atol=TOLERANCE[dtype] * abs(b).max()
    )


def windows(n, k, stride, padding):
  """Return (low padding, number of windows): TensorFlow's documentation."""
  if padding == "VALID":
    return 0, len(range(0, n - k + 1, stride))
  count = -(-n // stride)
  return max((count - 1) * stride + k - n, 0) // 2, count


def conv_by_loops(x, kernel, stride, padding):
  """Takes every output as one sum over the pixels its window covers."""
  _, height, width, _ = x.shape
  k = kernel.shape[0]
  top, rows = windows(height, k, stride, padding)
  left, columns = windows(width, k, stride, padding)
  y = np.zeros((len(x), rows, columns, kernel.shape[-1]), x.dtype)
  for r, c, i, j in np.ndindex(rows, columns, k, k):
    h = r * stride - top + i
    w = c * stride - left + j
    if 0 <= h < height and 0 <= w < width:  # outside is zero padding
      y[:, r, c] += x[:, h, w] @ kernel[i, j]
  return y


def transpose_by_loops(x, kernel, stride):
  """Lets every input pixel add its flipped kernel to stride · its place."""
  _, height, width, _ = x.shape
  k = kernel.shape[0]
  top, _ = windows(height * stride, k, stride, "SAME")
  left, _ = windows(width * stride, k, stride, "SAME")
  y = np.zeros(
    (len(x), height * stride, width * stride, kernel.shape[-1]), x.dtype
  )
  for r, c, i, j in np.ndindex(height, width, k, k):
    h = r * stride - top + i
    w = c * stride - left + j
    if 0 <= h < y.shape[1] and 0 <= w < y.shape[2]:
      y[:, h, w] += x[:, r, c] @ kernel[k - 1 - i, k - 1 - j]
  return y


@pytest.mark.parametrize(("dtype", "size"), SIZES.items())
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", KERNELS)
def test_conv_equals_loops_and_with_its_gradients_lax(
  k, stride, padding, size, dtype
):
  with jax.enable_x64(dtype == "float64"):
    x, kernel, bias = draw(k, (2, *size, 3), (k, k, 3, 4), (4,), dtype=dtype)
    rows, columns = (windows(n, k, stride, padding)[1] for n in size)
    (cotangent,) = draw(9, (2, rows, columns, 4), dtype=dtype)

    def how(fast):
      return lambda x, w, b: conv.conv(x, w, stride, padding, bias=b, fast=fast)

    got, expected = (
      value_and_gradients(how(fast), x, kernel, bias, cotangent)
      for fast in (True, False)
    )
  assert_close(got, expected, dtype)
  by_loops = conv_by_loops(x, kernel, stride, padding) + bias
  assert_close(got[:1], [by_loops], dtype)


@pytest.mark.parametrize(("dtype", "size"), SIZES.items())
@pytest.mark.parametrize(("k", "stride", "small"), TRANSPOSED)
def test_conv_transpose_equals_loops_and_with_gradients_lax(
  k, stride, small, size, dtype, monkeypatch
):
  monkeypatch.setattr(conv, "_SMALL", small)
  with jax.enable_x64(dtype == "float64"):
    x, kernel, bias = draw(k, (2, *size, 3), (k, k, 3, 4), (4,), dtype=dtype)
    doubled = [stride * n for n in size]
    (cotangent,) = draw(9, (2, *doubled, 4), dtype=dtype)

    def how(fast):
      return lambda x, w, b: conv.conv_transpose(
        x, w, stride, bias=b, fast=fast
      )

    got, expected = (
      value_and_gradients(how(fast), x, kernel, bias, cotangent)
      for fast in (True, False)
    )
  assert_close(got, expected, dtype)
  by_loops = transpose_by_loops(x, kernel, stride) + bias
  assert_close(got[:1], [by_loops], dtype)


@pytest.mark.parametrize("stride", [1, 2, 3])  # 3 > k: rows in no window
@pytest.mark.parametrize("k", [1, *KERNELS])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_fold_is_the_transpose_of_patches(k, stride, padding):
  size = (9, 7)
  pads = tuple(im2col.axis_padding(n, k, stride, padding) for n in size)
  (x,) = draw(0, (2, *size, 3), dtype="float32")
  cut = jax.jit(lambda x: im2col.patches(x, k, stride, pads))(x)
  (p,) = draw(1, cut.shape, dtype="float32")
  folded = jax.jit(lambda p: im2col.fold(p, k, stride, pads))(p)
  assert folded.shape == x.shape
  left = np.vdot(np.float64(cut), np.float64(p))
  right = np.vdot(np.float64(x), np.float64(folded))
  np.testing.assert_allclose(left, right, rtol=0, atol=1e-4)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_patches_lists_each_window_row_by_row_then_channels(padding):
  x = np.arange(2 * 5 * 6 * 2, dtype=np.float32).reshape(2, 5, 6, 2)
  pads = tuple(im2col.axis_padding(n, 3, 1, padding) for n in (5, 6))
  got = im2col.patches(x, 3, 1, pads)
  side = 1 if padding == "SAME" else 0
  full = np.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
  for r, c in np.ndindex(got.shape[1:3]):
    window = full[:, r : r + 3, c : c + 3].reshape(2, -1)
    np.testing.assert_array_equal(got[:, r, c], window)


@pytest.mark.parametrize("k", [3, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_second_derivatives_equal_lax(transposed, k, monkeypatch):
  monkeypatch.setattr(conv, "_SMALL", 3)
  # A gradient penalty differentiates the custom gradients once more.
  x, kernel = draw(0, (1, 4, 5, 2), (k, k, 2, 2), dtype="float32")

  def penalty(kernel, fast):
    def f(x):
      if transposed:
        return jnp.sum(conv.conv_transpose(x, kernel, 2, fast=fast) ** 3)
      return jnp.sum(conv.conv(x, kernel, 2, fast=fast) ** 3)

    return jnp.sum(jax.grad(f)(x) ** 2)

  got, expected = (
    jax.jit(jax.grad(penalty), static_argnums=1)(kernel, fast)
    for fast in (True, False)
  )
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("transposed", [False, True])
def test_layer_adds_its_bias_per_feature(transposed):
  x, kernel, bias = draw(0, (2, 6, 6, 3), (3, 3, 3, 4), (4,), dtype="float32")
  layer = Conv(4, stride=2, transposed=transposed)
  got = jax.jit(layer.apply)({"params": {"kernel": kernel, "bias": bias}}, x)
  if transposed:
    expected = transpose_by_loops(x, kernel, 2)
  else:
    expected = conv_by_loops(x, kernel, 2, "SAME")
  np.testing.assert_allclose(got, expected + bias, rtol=0, atol=1e-4)


def test_the_choice_of_form_follows_the_backend(monkeypatch):
  x, kernel = draw(0, (1, 4, 4, 1), (3, 3, 1, 1), dtype="float32")

  def gradient_is_ours():
    jaxpr = jax.make_jaxpr(lambda x: conv.conv(x, kernel))(x)
    return "custom_vjp" in str(jaxpr)

  assert gradient_is_ours()
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert not gradient_is_ours()
