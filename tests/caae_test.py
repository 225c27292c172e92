"""The CAAE: counts, every player's loss in NumPy, who moves and how."""

import jax
import numpy as np
import optax
import pytest

from cvae_jax import config as configs
from cvae_jax.figures import caae as figures
from cvae_jax.nets.blocks import INITIALISERS
from cvae_jax.nets.caae import tile
from cvae_jax.systems import caae
from tests import arithmetic as a, small as small_runs

pytestmark = pytest.mark.usefixtures("plain_convolutions")
KEY = jax.random.key(0)
B = 5
Z = 4
N = 2  # faces, latents, attributes
SMALL = {
  "data.image_shape": (16, 16, 3),
  "data.names": ("male", "mouth"),
  "data.ranges": ((0.0, 1.0),) * N,
  "data.conditions": N,
  "model.encoder.features": (3, 4),
  "model.encoder.latents": Z,
  "model.decoder.map": (4, 4, 4),
  "model.decoder.features": (4, 3),
  "model.latent_critic.dense": (4, 3),
  "model.image_critic.features": (3, 4),
  "model.image_critic.dense": 5,
  "loss.tv": 0.1,  # so that an error in the small terms would show
  "loss.code": 0.2,
  "loss.image": 0.3,
}


def started(variant):
  """Return the system and a state whose statistics and biases are not 0."""
  path = f"configs/zoo_faces.py:caae,smoke{variant}"
  system = configs.resolve(configs.load(path, SMALL))
  return system, small_runs.drawn(system)


def make_batch():
  rng = np.random.default_rng(1)
  return {
    "image": rng.integers(0, 256, (B, 16, 16, 3), np.uint8),
    "condition": rng.integers(0, 2, (B, N)).astype(np.float32),
  }


class Numpy:
  """The four networks in NumPy, and what their statistics have seen."""

  def __init__(self, state, faithful, train):
    self.params, self.stats = jax.tree.map(
      np.float64, (state.params, state.model_state)
    )
    self.faithful = faithful
    self.normalises = train and not faithful
    self.seen = {}

  def encode(self, x):
    for layer in ("conv_0", "conv_1"):
      p = self.params["encoder"][layer]
      convolve = a.correlate if self.faithful else a.conv
      x = a.relu(convolve(x, p["kernel"], 2) + p["bias"])
    return np.tanh(a.dense(x, self.params["encoder"]["code"]))

  def decode(self, z, y):
    y = y if self.faithful else np.tile(y, (1, Z // N))
    p = self.params["decoder"]
    x = a.relu(a.dense(np.hstack([z, y]), p["dense"])).reshape(-1, 4, 4, 4)
    for layer in ("conv_0", "conv_1"):
      x = a.relu(a.transposed(x, p[layer]["kernel"], 2) + p[layer]["bias"])
    return np.tanh(
      a.transposed(x, p["image"]["kernel"], 1) + p["image"]["bias"]
    )

  def norm(self, x, net, *path):
    p = self.params[net]
    s = self.stats[net]
    for name in path:
      p = p[name]
      s = s[name]
    x, mean, var = a.norm(x, p, None if self.normalises else s)
    seen = self.seen.setdefault((net, *path), {"mean": [], "var": []})
    seen["mean"].append(mean)
    seen["var"].append(var)
    return a.relu(x)

  def judge_code(self, z):
    net = "latent_critic"
    for i in range(2):
      z = a.dense(z, self.params[net][f"dense_{i}"])
      z = self.norm(z, net, f"norm_{i}")
    return a.dense(z, self.params[net]["logit"])[:, 0]

  def judge_image(self, x, y):
    net = "image_critic"
    p = self.params[net]
    for i in range(2):
      layer = p[f"conv_{i}"]
      x = a.conv(x, layer["kernel"], 2) + layer["bias"]
      x = self.norm(x, net, f"conv_{i}", "norm")
      if i == 0:
        y = y if self.faithful else np.tile(y, (1, 50 // N))
        maps = np.broadcast_to(y[:, None, None], (*x.shape[:3], y.shape[-1]))
        x = np.concatenate([x, maps], axis=-1)
    x = a.leaky(a.dense(x, p["dense"]), 0.2)
    return a.dense(x, p["logit"])[:, 0]


def terms(numpy, batch):
  """Return x, y, the code, the output and E's and G's terms, each [B]."""
  x = 2 * (batch["image"] / 255.0) - 1
  y = 2 * batch["condition"] - 1
  z = numpy.encode(x)
  out = numpy.decode(z, y)
  tv = (np.diff(out, axis=1) ** 2).sum((1, 2, 3)) / 2 / 16
  tv += (np.diff(out, axis=2) ** 2).sum((1, 2, 3)) / 2 / 16
  found = {
    "l1": abs(x - out).mean((1, 2, 3)),
    "tv": 0.1 * tv,
    "code": 0.2 * a.cross_entropy(numpy.judge_code(z), True),
    "image": 0.3 * a.cross_entropy(numpy.judge_image(out, y), True),
  }
  return x, y, z, out, found


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_faithful_networks_have_the_table_s_parameters():
  config = configs.load("configs/zoo_faces.py:caae,size=128,faithful")
  state = jax.eval_shape(configs.resolve(config).init, KEY)
  sizes = {
    net: count(params) + count(state.model_state.get(net, {}))
    for net, params in state.params.items()
  }
  assert sizes == {
    "encoder": 4_946_610,
    "decoder": 47_099_139,
    "latent_critic": 17_793,
    "image_critic": 8_665_857,
  }


def test_no_attributes_are_tiled_to_none():
  assert tile(np.zeros((3, 0)), 50).shape == (3, 0)


@pytest.mark.parametrize("size", [64, 128])
def test_the_paper_s_networks_end_at_its_maps_for_any_attributes(size):
  names = ("Male", "Eyeglasses", "Smiling")
  changes = {
    "data.names": names,
    "data.conditions": 3,
    "data.ranges": ((0.0, 1.0),) * 3,
  }
  config = configs.load(f"configs/zoo_faces.py:caae,size={size}", changes)
  system = configs.resolve(config)
  state = jax.eval_shape(system.init, KEY)
  side = size // 16
  shapes = {n: p["kernel"].shape for n, p in state.params["encoder"].items()}
  assert shapes["code"] == (side * side * 512, 50)
  decoder = state.params["decoder"]
  # 16 whole copies of 3 attributes come nearest to the code's 50.
  assert decoder["dense"]["kernel"].shape == (50 + 48, side * side * 1024)
  image = jax.eval_shape(
    system.decode, state, np.zeros((2, 50)), np.zeros((2, 3))
  )
  assert image.shape == (2, size, size, 3)


@pytest.mark.parametrize("variant", ["", ",faithful"])
def test_a_step_s_losses_and_statistics_are_numpy_s(variant):
  system, state = started(variant)
  batch = make_batch()
  step = jax.jit(system.step)
  after, metrics = jax.device_get(step(state, batch, KEY, np.int32(0)))
  numpy = Numpy(state, bool(variant), train=True)
  x, y, z, out, expected = terms(numpy, batch)
  expected = {f"autoencoder/{k}": v.mean() for k, v in expected.items()}
  expected["autoencoder/loss"] = sum(expected.values())
  key = jax.random.fold_in(jax.random.fold_in(KEY, 0), 1)
  drawn = np.float64(jax.random.uniform(key, (B, Z), minval=-1.0, maxval=1.0))
  numpy.seen.clear()  # what E and G show the critics moves no statistics
  for name, judge, fake, real in (
    ("latent_critic", numpy.judge_code, (z,), (drawn,)),
    ("image_critic", numpy.judge_image, (out, y), (x, y)),
  ):
    # All three move at once: the critics judge the same E and G.
    loss = a.cross_entropy(judge(*fake), False).mean()
    expected[f"{name}/loss"] = loss + a.cross_entropy(judge(*real), True).mean()
  for name, value in expected.items():
    np.testing.assert_allclose(metrics[name], value, rtol=2e-5, err_msg=name)
  for (net, *path), seen in numpy.seen.items():
    old = state.model_state[net]
    new = after.model_state[net]
    for name in path:
      old = old[name]
      new = new[name]
    for name, values in seen.items():
      moved = a.moved(np.float64(old[name]), [] if variant else values)
      np.testing.assert_allclose(new[name], moved, rtol=1e-5)
  pairs = zip(*map(jax.tree.leaves, (state.params, after.params)), strict=True)
  # Behind a batch's mean a bias makes no difference, so has no gradient.
  moved = [bool((p != q).any()) for p, q in pairs if p.ndim > 1]
  assert all(moved)


def test_evaluation_uses_the_running_statistics_and_unit_images():
  system, state = started("")
  batch = make_batch()
  found = jax.jit(system.evaluate)(state, batch, KEY)
  _, _, z, out, expected = terms(Numpy(state, False, train=False), batch)
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, rtol=2e-5, err_msg=name)
  image = np.float32(batch["image"] / 255)
  condition = batch["condition"]
  code = jax.jit(system.encode)(state, image, condition)
  np.testing.assert_allclose(code.mean, z, atol=1e-5)
  assert np.exp(np.asarray(code.logvar)).max() == 0  # a point
  decoded = jax.jit(system.decode)(state, code.mean, condition)
  np.testing.assert_allclose(decoded, (out + 1) / 2, atol=1e-5)
  prior = np.asarray(system.prior(KEY, 500))
  assert prior.shape == (500, Z)
  assert -1 <= prior.min() < -0.9
  assert 0.9 < prior.max() <= 1


@pytest.mark.parametrize("turns", [1, 3])
def test_adam_shared_by_players_counts_their_turns_too(turns):
  optim = configs.load("configs/zoo_faces.py:caae").optim
  gradients = np.array([[1.0, -2.0], [0.5, 0.1], [-3.0, 0.0]])
  for turn in range(turns):
    adam = caae._adam(optim, turn, turns)
    m = 0.0
    v = 0.0
    state = adam.init(np.zeros(2))
    for i, g in enumerate(gradients):
      found, state = adam.update(g.astype(np.float32), state)
      # Keras keeps moments for each variable but one counter for all.
      t = turns * i + turn + 1
      m = 0.5 * m + 0.5 * g
      v = 0.999 * v + 0.001 * g**2
      hat = m / (1 - 0.5**t), v / (1 - 0.999**t)
      expected = hat[0] / (np.sqrt(hat[1]) + 1e-8)
      np.testing.assert_allclose(found, expected, rtol=1e-4)
  if turns == 1:  # then it is Adam
    plain = optax.scale_by_adam(b1=0.5)
    after, _ = plain.update(gradients[0], plain.init(np.zeros(2)))
    np.testing.assert_allclose(after, np.sign(gradients[0]), rtol=1e-4)


def test_columns_of_the_figure_are_the_source_s_or_each_attribute():
  source = configs.load("configs/zoo_faces.py:caae").data.names
  assert len(figures.columns(source)) == 10
  assert figures.columns(source)[3] == ("Male", "Mustache", "Bald", "Young")
  assert figures.columns(("a", "b")) == ((), ("a",), ("b",))


@pytest.mark.parametrize(
  ("variant", "fan"),  # of a 5×5 kernel from 8 maps to 2
  [("caae", 5 * 5 * 8), ("caae,size=128,faithful", 5 * 5 * 2)],
)
def test_only_the_faithful_decoder_has_keras_s_fan(variant, fan):
  config = configs.load(f"configs/zoo_faces.py:{variant}")
  drawn = INITIALISERS[config.model.decoder.get("initialiser", "he")]
  kernel = drawn(jax.random.key(0), (5, 5, 64 * 8, 64 * 2))
  expected = np.sqrt(2 / (64 * fan))
  assert np.std(kernel) == pytest.approx(expected, rel=0.01)
