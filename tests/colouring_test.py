"""The colouring: its tables, loss and decoder, and what its latent sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax import config
from cvae_jax.loop.begin import compile_fast as quick
from cvae_jax.measures.verify import load_published
from cvae_jax.method import baselines, cells, schedules
from cvae_jax.nets.colouring import Branch, Decoder

pytestmark = pytest.mark.usefixtures("short_colours")


COUNTS = {
  (1,): (526_512, 526_818),
  (2, 3): (601_776, 602_082),
  (4, 5): (729_392, 729_698),
  (6, 7): (729_712, 730_178),
}
SMALL = {
  "model.branch.features": (3, 4),
  "model.branch.dense": 6,
  "model.branch.code": 5,
  "model.encoder.hidden": 7,
  "model.encoder.latents": 6,
  "model.decoder.hidden": 8,
}


def load(variant, changes=()):
  return config.load(f"configs/colour.py:{variant}", dict(changes))


@functools.cache
def small(variant="model=3"):
  """A small system, and a state whose biases are random, too."""
  settings = load(variant, SMALL)
  system = config.resolve(settings)
  shapes = jax.eval_shape(system.init, jax.random.key(0))
  rng = np.random.default_rng(0)
  draw = lambda a: rng.normal(0, 0.1, a.shape).astype(np.float32)  # noqa: E731
  state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
  return (
    settings,
    system,
    state.replace(params=jax.tree.map(draw, state.params)),
  )


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(0)
  photo = rng.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
  return {"photo": photo, "cell": np.array([0, 13, 100, 195], np.int32)}


@quick
def cut(photos, cell):
  """Grey, the pyramid as trained on and as used, and colours of a batch."""
  grey = cells.grey(photos)
  row = jnp.arange(len(cell))
  levels = [
    cells.pyramid(grey, row, cell, whole_bytes=trained)
    for trained in (True, False)
  ]
  return grey, *levels, cells.targets(photos, cell)


@pytest.mark.parametrize("models", COUNTS)
def test_parameter_counts_are_the_table_s(models):
  nets = [load(f"model={k},prepared").model for k in models]
  assert all(net == nets[0] for net in nets)
  system = config.resolve(load(f"model={models[0]},prepared"))
  params = jax.eval_shape(system.init, jax.random.key(0)).params
  counted = tuple(
    sum(leaf.size for leaf in jax.tree.leaves(params[branch]))
    for branch in ("encoder", "decoder")
  )
  assert counted == COUNTS[models]


def test_the_ladder_says_how_long_how_much_and_with_what_weight():
  found = [load(f"model={k},prepared") for k in range(1, 8)]
  assert [c.loss.mse for c in found] == [4.0, 2.5, 4.0, 2.0, 2.5, 2.5, 2.5]
  assert [c.epochs for c in found] == [5, 5, 5, 5, 16, 5, 20]
  photos = [c.data.train_images for c in found]
  assert photos == [100, 100, 100, 100, 0, 100, 0]
  for c in found:
    assert len(load_published(c.reference)) == c.epochs


def test_the_learning_rate_falls_by_inverse_time():
  lr = schedules.learning_rate(load("model=3").optim)
  assert float(lr(0)) == pytest.approx(0.001)
  assert float(lr(110_120)) == pytest.approx(0.000901, abs=5e-7)


def test_every_branch_starts_apart_by_glorot_s_rule():
  branch = Branch(**load("model=3").model.branch.to_dict())
  level = np.zeros((1, 14, 14), np.float32)
  params = quick(branch.init)(jax.random.key(0), level, None)["params"]
  squares = 0.0
  for i in range(5):
    kernel = np.asarray(params[f"conv_{i}"]["kernel"])
    limit = np.sqrt(6 / (9 * sum(kernel.shape[-2:])))
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.05)
    assert not np.any(params[f"conv_{i}"]["bias"])
    squares += np.sum(kernel**2)
  assert 0.001 * 8 * squares == pytest.approx(1.133, rel=0.02)
  _, system, _ = small()
  params = quick(system.init)(jax.random.key(0)).params
  firsts = [
    np.ravel(params[side][f"level_{k}"]["conv_0"]["kernel"])
    for side in ("encoder", "decoder")
    for k in range(4)
  ]
  assert len(np.unique(firsts, axis=0)) == 8


def branch_by_hand(p, x, skip):
  """One branch of [B, 14, 14] in NumPy, without dropout."""
  silu = lambda a: a / (1 + np.exp(-a))  # noqa: E731
  maps = x[..., None]
  i = 0
  while f"conv_{i}" in p:
    kernel = p[f"conv_{i}"]["kernel"]
    bias = p[f"conv_{i}"]["bias"]
    n = maps.shape[1] - 2
    out = np.zeros((*maps.shape[:1], n, n, kernel.shape[-1]))
    for a in range(3):
      for b in range(3):
        out += maps[:, a : a + n, b : b + n] @ kernel[a, b]
    maps = silu(out + bias)
    i = i + 1
  flat = maps.reshape(len(x), -1)
  if skip:
    flat = np.concatenate([flat, x.reshape(len(x), -1)], axis=1)
  for name in ("dense_0", "dense_1"):
    flat = silu(flat @ p[name]["kernel"] + p[name]["bias"])
  return flat


@pytest.mark.parametrize("model", [1, 3])
def test_the_terms_of_the_loss_are_the_spec_s(model, batch):
  settings, system, state = small(f"model={model}")
  found = quick(system.evaluate)(state, batch, jax.random.key(1))
  params = jax.tree.map(lambda a: np.asarray(a, np.float64), state.params)
  _, levels, _, true = map(np.asarray, cut(batch["photo"], batch["cell"]))
  levels = levels.astype(np.float64)
  place = np.stack(np.divmod(batch["cell"], 14), axis=1) / 13

  def look(side):
    each = [
      branch_by_hand(
        params[side][f"level_{k}"],
        levels[:, k],
        settings.model.branch.skip,
      )
      for k in range(4)
    ]
    return np.concatenate(each, axis=1)

  dense = lambda p, x: x @ p["kernel"] + p["bias"]  # noqa: E731
  silu = lambda a: a / (1 + np.exp(-a))  # noqa: E731
  p = params["encoder"]
  hidden = silu(dense(p["hidden"], np.hstack([look("encoder"), place])))
  mean = dense(p["mean"], hidden)
  logvar = dense(p["logvar"], hidden)
  normal = quick(lambda key: jax.random.normal(key, mean.shape))
  noise = normal(jax.random.key(1))
  z = mean + np.exp(logvar / 2) * np.asarray(noise)
  p = params["decoder"]
  joined = np.hstack([look("decoder"), z, place])
  output = np.tanh(dense(p["colour"], silu(dense(p["hidden"], joined))))
  mse = ((true - output) ** 2).mean(axis=1)
  kl = -0.5 * (1 + logvar - mean**2 - np.exp(logvar)).sum(axis=1)
  saturation = ((true**2).sum(1) - (output**2).sum(1)) ** 2
  w = settings.loss.mse
  for name, expected in (
    ("weighted_squared_error", w * mse),
    ("mse", mse),
    ("kl", kl),
    ("saturation", saturation),
    ("loss", w * mse + kl + saturation),
    ("elbo", -w * mse - np.log(2 * np.pi / w) - kl),
  ):
    np.testing.assert_allclose(found[name], expected, rtol=2e-4, atol=1e-6)


def test_the_source_s_encoder_is_blind_to_colour_and_the_useful_one_sees(batch):
  # Colours of equal grey: a red and a green of the same luma.
  photos = np.zeros((4, 112, 112, 3), np.uint8)
  photos[::2], photos[1::2, ..., 1] = (100, 0, 0), 51
  cell = np.full(4, 90, np.int32)
  assert np.ptp(cut(photos, cell)[0]) == 0
  for variant, differs in (("model=3", False), ("useful", True)):
    _, system, state = small(variant)
    pair = {"photo": photos, "cell": cell}
    kl = quick(system.evaluate)(state, pair, jax.random.key(0))["kl"]
    assert (float(kl[0]) != float(kl[1])) == differs
    assert float(kl[0]) == float(kl[2])


def test_one_latent_colours_every_cell_of_a_photo(batch):
  settings, system, state = small("useful")
  z = np.random.default_rng(0).standard_normal((4, 3, 6)).astype(np.float32)
  cell = np.full(4, 14 * 3 + 5, np.int32)
  grey, _, levels, _ = cut(batch["photo"], cell)
  grey = np.asarray(grey) / np.float32(255)
  decode = quick(system.decode)
  maps = np.asarray(decode(state, z, grey))
  assert maps.shape == (4, 3, 14, 14, 2)
  again = np.asarray(decode(state, z[::-1, ::-1], grey[::-1]))
  np.testing.assert_allclose(maps, again[::-1, ::-1], atol=1e-6)
  assert np.abs(maps[0, 0] - maps[0, 1]).max() > 1e-4  # latents differ
  same = np.asarray(decode(state, z[[0, 0, 0, 0]], grey))
  assert np.abs(same[0] - same[1]).max() > 1e-4  # photos differ
  # A cell alone, by the layout 14 i + j.
  net = Decoder(settings.model.branch.to_dict(), **settings.model.decoder)
  place = np.asarray(quick(lambda at: cells.positions(at, 7))(cell))
  params = {"params": state.params["decoder"]}
  alone = quick(net.apply)(params, levels, place, z)
  np.testing.assert_allclose(maps[:, :, 3, 5], alone, atol=1e-6)


def test_sample_grids_set_the_truth_beside_variants(batch):
  _, system, state = small()
  panel = np.zeros((1, 0), np.float32)
  render = quick(system.render)
  drawn = render(state, batch, panel, jax.random.key(0))["colours"]
  assert drawn.shape == (1, 6, 112, 112, 3)
  assert float(drawn.min()) >= -1e-6
  assert float(drawn.max()) <= 1 + 1e-6


def test_positions_other_than_2_or_7_are_refused():
  with pytest.raises(ValueError, match=r"one of \(2, 7\); found 3"):
    config.resolve(load("model=3", {"model.positions": 3}))


def test_a_baseline_learns_what_grey_tells_and_no_more():
  # Bright cells are red and dark ones blue, wherever they are.
  bright = np.random.default_rng(0).random((21, 14, 14)) < 0.5
  pixels = bright.repeat(8, axis=1).repeat(8, axis=2)[..., None]
  photos = np.where(pixels, (250, 60, 60), (10, 10, 90)).astype(np.uint8)
  base = baselines.fit(photos[:20])
  true = np.stack([baselines.true_map(photo) for photo in photos])
  mean = base.mean_colour(photos[20])
  expected = np.broadcast_to(true[:20].mean((0, 1, 2)), (14, 14, 2))
  np.testing.assert_allclose(mean, expected, atol=1e-5)
  found = base.nearest_grey(photos[20])
  away = np.linalg.norm(found - true[20], axis=-1)
  assert away.mean() < 0.1 * np.linalg.norm(mean - true[20], axis=-1).mean()
