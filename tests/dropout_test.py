"""Dropout's cheap masks are as random as threefry's, by the same tests.

Every test of randomness runs on both generators with the same keys, sizes
and limits, so that a limit which threefry would break cannot be set.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax.nets import layers

RATE = 0.45  # the digits model's
LIMIT = 4.5  # standard deviations; a few hundred z values are tested
SHAPE = (32, 14, 14, 32)  # the encoder's first map at batch 32


def dropout_mask(key, shape):
  return layers.dropout(key, jnp.ones(shape), RATE) != 0


def threefry_mask(key, shape):
  return jax.random.bernoulli(key, 1 - RATE, shape)


def hash_words(key, shape):
  return layers.hash_bits(jax.random.bits(key, (2,), jnp.uint32), shape)


def threefry_words(key, shape):
  return jax.random.bits(key, shape, jnp.uint32)


MASKS = pytest.mark.parametrize("mask", [dropout_mask, threefry_mask])
WORDS = pytest.mark.parametrize("words", [hash_words, threefry_words])


def stream(step, net=0, layer=0):
  """Derives a layer's key at a step as update and the systems derive it."""
  key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 1), step)
  for address in (0, 1 + net, layer):  # player, net after noise, layer
    key = jax.random.fold_in(key, address)
  return key


def draw(mask, shape=SHAPE, **where):
  """Return the mask with mean 0 and variance 1."""
  kept = jax.jit(mask, static_argnums=1)(stream(**where), shape)
  return (np.asarray(kept, np.float64) - (1 - RATE)) / np.sqrt(
    RATE * (1 - RATE)
  )


def z_of_sums(x, axes):
  """Return the z values of sums of independent unit variables."""
  return x.sum(axes) / np.sqrt(np.prod([x.shape[a] for a in axes]))


def chi_square_z(counts, expected):
  """Return how many σ a chi-square is off, for many degrees of freedom."""
  chi = ((counts - expected) ** 2 / expected).sum()
  degrees = counts.size - 1
  return (chi - degrees) / np.sqrt(2 * degrees)


@MASKS
def test_share_kept_is_one_minus_the_rate(mask):
  z = [z_of_sums(draw(mask, step=step), (0, 1, 2, 3)) for step in range(16)]
  assert max(map(abs, z)) < 4
  assert abs(np.sum(z) / 4) < 4  # all 16 steps as one sample of 3.2 million


@MASKS
@pytest.mark.parametrize("kept", [(0,), (1,), (2,), (3,), (1, 2), (0, 3)])
def test_share_kept_varies_between_slices_as_coins_do(mask, kept):
  # Per example, row, column, channel, pixel, and example's channel.
  axes = tuple(axis for axis in range(4) if axis not in kept)
  z = np.stack([z_of_sums(draw(mask, step=step), axes) for step in range(8)])
  assert abs(z).max() < 5
  # Σ z² over slices is chi-square: neither too even nor too uneven.
  assert abs((z**2).sum() - z.size) / np.sqrt(2 * z.size) < LIMIT


@MASKS
@pytest.mark.parametrize("axis", range(4))
def test_neighbours_along_each_axis_are_uncorrelated(mask, axis):
  x = np.moveaxis(draw(mask, step=0), axis, 0)
  for lag in range(1, 9):
    product = x[lag:] * x[:-lag]
    assert abs(z_of_sums(product, (0, 1, 2, 3))) < LIMIT, lag


def assert_no_peak(correlation, size):
  # The largest of n normal values is near √(2 ln n); 6 σ leaves 1 in 3,000.
  assert abs(correlation).max() / np.sqrt(size) < 6


@MASKS
def test_stream_is_uncorrelated_with_itself_at_every_shift(mask):
  x = draw(mask, step=0).ravel()
  spectrum = abs(np.fft.rfft(x)) ** 2
  assert_no_peak(np.fft.irfft(spectrum, x.size)[1:], x.size)


PAIRS = {
  "consecutive steps": ({"step": 6}, {"step": 7}),
  "first and second step": ({"step": 0}, {"step": 1}),
  "steps an epoch apart": ({"step": 0}, {"step": 1875}),
  "layers": ({"step": 3, "layer": 0}, {"step": 3, "layer": 1}),
  "encoder and decoder": ({"step": 3, "net": 0}, {"step": 3, "net": 1}),
}


@MASKS
@pytest.mark.parametrize("pair", PAIRS)
def test_streams_of_different_addresses_are_no_shifts_of_each_other(mask, pair):
  x, y = (draw(mask, **where).ravel() for where in PAIRS[pair])
  crossed = np.fft.rfft(x) * np.conj(np.fft.rfft(y))
  assert_no_peak(np.fft.irfft(crossed, x.size), x.size)


def walsh_hadamard(x):
  """Transforms [2^n], unnormalised, one bit of the index at a time."""
  for bit in range(x.size.bit_length() - 1):
    x = x.reshape(-1, 2, 1 << bit)
    x = np.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], axis=1)
  return x.ravel()


@MASKS
@pytest.mark.parametrize("pair", PAIRS)
def test_streams_are_no_permutations_by_xor_of_each_other(mask, pair):
  # A seed enters the hash as an exclusive or on the position.
  size = 1 << 17
  x, y = (draw(mask, (size,), **where) for where in PAIRS[pair])
  crossed = walsh_hadamard(walsh_hadamard(x) * walsh_hadamard(y)) / size
  assert_no_peak(crossed, size)


@MASKS
def test_no_mask_is_a_linear_function_of_the_bits_of_the_position(mask):
  size = 1 << 17
  assert_no_peak(walsh_hadamard(draw(mask, (size,), step=0)), size)


@MASKS
def test_one_position_over_many_steps_is_a_sequence_of_coins(mask):
  shape = (4, 7, 7, 4)
  steps = 512
  keys = jax.vmap(stream)(jnp.arange(steps))
  kept = jax.jit(jax.vmap(lambda key: mask(key, shape)))(keys)
  x = (np.asarray(kept, np.float64).reshape(steps, -1) - (1 - RATE)) / np.sqrt(
    RATE * (1 - RATE)
  )
  z = z_of_sums(x, (0,))
  assert abs((z**2).sum() - z.size) / np.sqrt(2 * z.size) < LIMIT
  for lag in (1, 2, 3, 8, 100):
    assert abs(z_of_sums(x[lag:] * x[:-lag], (0, 1))) < LIMIT, lag


@MASKS
@pytest.mark.parametrize("lag", [1, 2, 7, 14, 32, 448, 6272])
def test_number_and_lengths_of_runs_are_those_of_coins(mask, lag):
  # Read in steps of a channel, column, row and example as well as in order.
  x = draw(mask, step=2).ravel()
  x = x[: x.size // lag * lag].reshape(-1, lag).T.ravel() > 0
  n = x.size
  p = 1 - RATE
  changes = np.flatnonzero(x[1:] != x[:-1])
  q = 2 * p * (1 - p)  # of a change; changes are 1-dependent
  covariance = p * (1 - p) - q**2
  variance = (n - 1) * q * (1 - q) + 2 * (n - 2) * covariance
  assert abs(changes.size - (n - 1) * q) / np.sqrt(variance) < LIMIT
  lengths = np.diff(changes)
  for value, share in ((True, p), (False, 1 - p)):
    runs = lengths[x[changes[1:]] == value]
    longest = 8  # and longer, one class
    counts = np.bincount(np.minimum(runs, longest), minlength=longest + 1)[1:]
    shares = (1 - share) * share ** np.arange(longest)
    shares[-1] = share ** (longest - 1)
    chi = ((counts - runs.size * shares) ** 2 / (runs.size * shares)).sum()
    assert chi < 35  # 7 degrees of freedom: 1 in 90,000


@WORDS
@pytest.mark.parametrize("byte", range(4))
def test_bytes_are_uniform(words, byte):
  z = []
  for step in range(8):
    bits = jax.jit(words, static_argnums=1)(stream(step), (1 << 18,))
    values = (np.asarray(bits) >> (8 * byte)) & 255
    counts = np.bincount(values, minlength=256)
    z.append(chi_square_z(counts, values.size / 256))
  # A chi-square of 255 is nearly normal; too even is as wrong as too uneven.
  assert max(map(abs, z)) < LIMIT


@WORDS
@pytest.mark.parametrize("lag", [1, 2, 32, 448])
def test_pairs_of_high_bytes_are_uniform(words, lag):
  bits = jax.jit(words, static_argnums=1)(stream(0), (1 << 20,))
  high = np.asarray(bits >> 24, np.int64)
  pairs = np.bincount(high[lag:] * 256 + high[:-lag], minlength=1 << 16)
  assert abs(chi_square_z(pairs, (high.size - lag) / (1 << 16))) < LIMIT


@WORDS
def test_each_bit_is_balanced_and_independent_of_the_others(words):
  bits = np.asarray(jax.jit(words, static_argnums=1)(stream(5), (1 << 17,)))
  signs = 1.0 - 2.0 * ((bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1)
  assert abs(signs.sum(0)).max() / np.sqrt(bits.size) < LIMIT
  products = signs.T @ signs / np.sqrt(bits.size)
  assert abs(products[~np.eye(32, dtype=bool)]).max() < LIMIT


def test_one_bit_of_a_seed_flips_half_of_the_words_bits():
  seeds = np.array([0, 0], np.uint32)  # the weakest ones
  base = np.asarray(layers.hash_bits(jnp.asarray(seeds), (4096,)))
  for word in range(2):
    for bit in range(32):
      other = seeds.copy()
      other[word] ^= np.uint32(1 << bit)
      changed = np.asarray(layers.hash_bits(jnp.asarray(other), (4096,)))
      flipped = np.bitwise_count(base ^ changed).mean() / 32
      assert 0.45 < flipped < 0.55, (word, bit)


def test_the_hash_is_the_published_one():
  # lowbias32 in Python's integers, two rounds.
  def mix(x):
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)

  seeds = (0xDEADBEEF, 0xFFFFFFFF)
  got = layers.hash_bits(jnp.array(seeds, jnp.uint32), (3, 5))
  expected = [
    mix((mix(i ^ seeds[0]) + seeds[1]) & 0xFFFFFFFF) for i in range(15)
  ]
  np.testing.assert_array_equal(got, np.reshape(expected, (3, 5)))


@pytest.mark.parametrize(
  ("key", "rate"), [(None, 0.45), (None, 0.0), (stream(0), 0.0)]
)
def test_identity_without_a_key_or_a_rate(key, rate):
  x = jnp.arange(12.0).reshape(3, 4)
  assert layers.dropout(key, x, rate) is x


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.45, 0.9])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(rate):
  x = np.random.default_rng(0).uniform(1, 2, 200_000).astype(np.float32)
  y = np.asarray(layers.dropout(stream(0), x, rate))
  kept = y != 0
  np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-6)
  sigma = np.sqrt((x.astype(np.float64) ** 2).sum() * rate / (1 - rate))
  assert abs(y.sum(dtype=np.float64) - x.sum(dtype=np.float64)) < 4 * sigma


def test_backward_pass_drops_what_the_forward_pass_dropped():
  x = jnp.linspace(1.0, 2.0, 1000)

  def f(x):
    y = layers.dropout(stream(0), x, RATE)
    return y.sum(), y

  (_, y), slope = jax.jit(jax.value_and_grad(f, has_aux=True))(x)
  np.testing.assert_allclose(slope, y / x, rtol=1e-6)
  assert 0 < (slope == 0).sum() < 1000


def test_same_key_same_mask_and_inside_jit_too():
  eager = dropout_mask(stream(4), (8, 9))
  compiled = jax.jit(dropout_mask, static_argnums=1)(stream(4), (8, 9))
  np.testing.assert_array_equal(eager, compiled)
