"""The digits CVAE and its configs: counts, terms and a NumPy forward pass."""

import functools
import math

import jax
import numpy as np
import pytest

from cvae_jax import config as configs

SMOKE = "configs/digits.py:smoke"
START = 100  # smoke's loss.grey_start
KEY = jax.random.key(0)
NO_DROPOUT = {
  f"model.{net}.dropout": (0.0, 0.0, 0.0) for net in ("encoder", "decoder")
}

# The source's layer, kernel shape; biases have the kernel's last size.
LAYERS = {
  "encoder": {
    "conv_0": (3, 3, 1, 32),
    "conv_1": (3, 3, 32, 64),
    "conv_2": (3, 3, 64, 128),
    "dense": (6283, 256),
    "side": (784, 64),
    "mean": (320, 40),
    "logvar": (320, 40),
  },
  "decoder": {
    "dense_0": (51, 320),
    "dense_1": (320, 7840),
    "conv_0": (3, 3, 160, 80),
    "conv_1": (3, 3, 80, 40),
    "conv_2": (3, 3, 40, 1),
  },
}
COUNTS = {
  "encoder": {
    "conv_0": 320,
    "conv_1": 18_496,
    "conv_2": 73_856,
    "dense": 1_608_704,
    "side": 50_240,
    "mean": 12_840,
    "logvar": 12_840,
  },
  "decoder": {
    "dense_0": 16_640,
    "dense_1": 2_516_640,
    "conv_0": 115_280,
    "conv_1": 28_840,
    "conv_2": 361,
  },
}


def make_batch(size=32, seed=0):
  """Draws smooth white blots on black, as uint8, and legal conditions."""
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[:28, :28]
  centre = rng.uniform(8, 20, (2, size, 1, 1))
  width = rng.uniform(2, 6, (size, 1, 1))
  distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
  image = 255 * np.exp(-distance / width**2)
  ink = rng.uniform(-1, 1, (size, 1))
  return {
    "image": image.astype(np.uint8)[..., None],
    "condition": np.hstack([np.eye(10)[rng.integers(0, 10, size)], ink]).astype(
      np.float32
    ),
  }


class Compiled:
  """A system whose functions are compiled once for all the tests."""

  def __init__(self, config):
    self.system = configs.resolve(config)
    self.traces = 0
    self.step = jax.jit(self._step)
    for name in ("init", "evaluate", "encode", "decode", "render"):
      if f := getattr(self.system, name):
        setattr(self, name, jax.jit(f))

  def _step(self, *args):
    self.traces += 1
    return self.system.step(*args)

  @functools.cached_property
  def initial(self):
    return self.init(KEY)


_COMPILED = {}


def compiled(name=SMOKE, overrides=None):
  """Shares systems between configs that differ in their data and length."""
  config = configs.load(name, overrides)
  parts = (config[part] for part in ("system", "model", "loss", "optim"))
  key = str([*parts])
  if key not in _COMPILED:
    _COMPILED[key] = Compiled(config)
  return _COMPILED[key]


def at_step(state, step):
  return state.replace(step=jax.numpy.int32(step))


def without_noise(state):
  """Make the encoder so sure of itself that z is the mean: σ = e⁻⁵⁰."""
  encoder = dict(state.params["encoder"])
  head = encoder["logvar"]
  encoder["logvar"] = {
    "kernel": 0 * head["kernel"],
    "bias": 0 * head["bias"] - 100,
  }
  return state.replace(params={**state.params, "encoder": encoder})


@pytest.fixture(scope="module")
def state():
  """Trains a little, so that biases and outputs are not near 0."""
  state = compiled().initial
  for i in range(10):
    state, _ = compiled().step(state, make_batch(seed=i), KEY, np.int32(i))
  assert state.step == 10
  return state


def float64(tree):
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


# Parameters


@pytest.mark.parametrize("net", LAYERS)
def test_every_layer_has_the_published_size(net):
  params = compiled().initial.params[net]
  assert {n: p["kernel"].shape for n, p in params.items()} == LAYERS[net]
  sizes = {n: p["kernel"].size + p["bias"].size for n, p in params.items()}
  assert sizes == COUNTS[net]
  assert all(set(p) == {"kernel", "bias"} for p in params.values())


def test_the_nets_have_4455057_parameters():
  sizes = {
    net: sum(leaf.size for leaf in jax.tree.leaves(params))
    for net, params in compiled().initial.params.items()
  }
  assert sizes == {"encoder": 1_777_296, "decoder": 2_677_761}
  assert sum(sizes.values()) == 4_455_057


@pytest.mark.parametrize(
  ("net", "layer"), [(net, layer) for net in LAYERS for layer in LAYERS[net]]
)
def test_kernels_start_glorot_uniform_and_biases_zero(net, layer):
  params = compiled().initial.params[net][layer]
  np.testing.assert_array_equal(params["bias"], 0)
  kernel = np.asarray(params["kernel"], np.float64)
  *window, inputs, outputs = kernel.shape
  limit = math.sqrt(6 / (math.prod(window) * (inputs + outputs)))
  assert abs(kernel).max() <= limit * (1 + 1e-6)  # float32
  # The largest of n uniform values comes within a few limit / n of the limit.
  assert abs(kernel).max() > limit * (1 - 12 / kernel.size)
  z = kernel.mean() / (limit / math.sqrt(3)) * math.sqrt(kernel.size)
  assert abs(z) < 4
  # x² of a uniform x has mean limit²/3 and deviation limit² √(4/45).
  error = (kernel**2).mean() / limit**2 - 1 / 3
  assert abs(error) * math.sqrt(kernel.size) < 4 * math.sqrt(4 / 45)


def test_l2_starts_near_its_expected_value():
  # Σ kernel² of a Glorot 3×3 layer has the mean 2 · in · out / (in + out).
  shapes = [s for net in LAYERS.values() for s in net.values() if len(s) == 4]
  expected = 0.001 * sum(2 * i * o / (i + o) for *_, i, o in shapes)
  np.testing.assert_allclose(expected, 0.29, atol=0.005)
  _, metrics = compiled().step(
    compiled().initial, make_batch(), KEY, np.int32(0)
  )
  np.testing.assert_allclose(metrics["model/l2"], expected, rtol=0.02)


# The forward pass, in NumPy


def relu(x):
  return np.maximum(x, 0)


def dense(x, layer):
  return x @ layer["kernel"] + layer["bias"]


def conv(x, layer, stride):
  """TensorFlow's SAME: at 28 and 14 by stride 2 the odd pad is at the end."""
  size = -(-x.shape[1] // stride)
  low = ((size - 1) * stride + 3 - x.shape[1]) // 2
  x = np.pad(x, ((0, 0), (low, 2), (low, 2), (0, 0)))
  y = np.zeros((len(x), size, size, layer["kernel"].shape[-1]))
  for r, c in np.ndindex(size, size):
    window = x[:, r * stride :, c * stride :][:, :3, :3]
    y[:, r, c] = np.einsum("bijc,ijcd->bd", window, layer["kernel"])
  return relu(y + layer["bias"])


def transposed_conv(x, layer, stride):
  """Each pixel adds its flipped kernel; what hangs over is cut off."""
  n = x.shape[1]
  kernel = layer["kernel"][::-1, ::-1]
  y = np.zeros((len(x), n * stride + 2, n * stride + 2, kernel.shape[-1]))
  for r, c in np.ndindex(n, n):
    stamp = np.einsum("bc,ijcd->bijd", x[:, r, c], kernel)
    y[:, r * stride : r * stride + 3, c * stride : c * stride + 3] += stamp
  low = 1 if stride == 1 else 0
  y = y[:, low : low + n * stride, low : low + n * stride]
  return relu(y + layer["bias"])


def encode(params, image, condition):
  x = image
  for name, stride in (("conv_0", 2), ("conv_1", 2), ("conv_2", 1)):
    x = conv(x, params[name], stride)
  x = np.hstack([x.reshape(len(x), -1), condition])
  x = relu(dense(x, params["dense"]))
  side = relu(dense(image.reshape(len(image), -1), params["side"]))
  x = np.hstack([x, side])
  return dense(x, params["mean"]), dense(x, params["logvar"])


def decode(params, z, condition):
  x = relu(dense(np.hstack([z, condition]), params["dense_0"]))
  x = relu(dense(x, params["dense_1"])).reshape(-1, 7, 7, 160)
  for name, stride in (("conv_0", 2), ("conv_1", 2), ("conv_2", 1)):
    x = transposed_conv(x, params[name], stride)
  return x


def terms_by_hand(params, batch, noise):
  """Return the source's terms of each example, without weights."""
  image = batch["image"] / 255.0
  mean, logvar = encode(params["encoder"], image, batch["condition"])
  z = mean + np.exp(logvar / 2) * noise
  v = decode(params["decoder"], z, batch["condition"])
  kl = -0.5 * (1 + logvar - mean**2 - np.exp(logvar)).sum(1)
  return {
    "weighted_squared_error": 784 * ((image - v) ** 2).mean((1, 2, 3)),
    "kl": kl,
    "grey": np.maximum(0, v * (1 - v)).sum((1, 2, 3)),
  }


def unit(batch):
  return (batch["image"] / np.float32(255)).astype(np.float32)


def test_encoder_and_decoder_equal_a_forward_pass_by_hand(state):
  batch = make_batch(2)
  params = float64(state.params)
  q = compiled().encode(state, unit(batch), batch["condition"])
  mean, logvar = encode(params["encoder"], unit(batch), batch["condition"])
  np.testing.assert_allclose(q.mean, mean, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(q.logvar, logvar, rtol=1e-4, atol=1e-5)
  z = np.random.default_rng(1).standard_normal((2, 40)).astype(np.float32)
  output = compiled().decode(state, z, batch["condition"])
  expected = decode(params["decoder"], z, batch["condition"])
  assert expected.max() > 0.1  # not a dead output
  np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_a_page_without_a_term_has_it_in_no_row(state):
  config = configs.load(SMOKE)
  with config.unlocked():
    del config.loss["grey"], config.loss["l2"]
  system = configs.resolve(config)
  trained = jax.eval_shape(system.step, state, make_batch(2), KEY, np.int32(0))
  tested = jax.eval_shape(system.evaluate, state, make_batch(2), KEY)
  assert "grey_weight" not in system.schedules
  for names in (trained[1], tested):
    assert not [n for n in names if n.endswith(("grey", "l2"))]
  assert "model/kl" in trained[1]


@pytest.mark.parametrize("step", [0, START - 1, START, START + 1])
def test_training_loss_is_the_published_one_by_hand(state, step):
  # Dropout off. 0.01 × the grey sum over the batch of 32.
  state = without_noise(state)
  batch = make_batch(seed=3)
  params = float64(state.params)
  terms = terms_by_hand(params, batch, noise=0.0)
  kernels = [
    layer["kernel"]
    for net in params.values()
    for name, layer in net.items()
    if name.startswith("conv")
  ]
  assert len(kernels) == 6
  expected = {
    "weighted_squared_error": terms["weighted_squared_error"].mean(),
    "kl": terms["kl"].mean(),
    "grey": 0.01 * terms["grey"].sum() if step >= START else 0.0,
    "l2": 0.001 * sum((kernel**2).sum() for kernel in kernels),
  }
  expected["loss"] = sum(expected.values())
  assert terms["grey"].mean() > 1  # the term is there to be seen
  _, metrics = compiled(overrides=NO_DROPOUT).step(
    at_step(state, step), batch, KEY, np.int32(step)
  )
  for name, value in expected.items():
    np.testing.assert_allclose(
      metrics[f"model/{name}"], value, rtol=1e-4, err_msg=name
    )


@pytest.mark.parametrize("step", [START - 1, START])
def test_evaluation_judges_each_example_by_the_same_terms(state, step):
  batch = make_batch(seed=4)
  noise = jax.random.normal(KEY, (32, 40))  # evaluation's key is the noise's
  expected = terms_by_hand(float64(state.params), batch, np.asarray(noise))
  total = 0.01 * expected["grey"].sum()
  expected["grey"] *= 0.32 if step >= START else 0.0
  expected["loss"] = sum(expected.values())
  terms = compiled().evaluate(at_step(state, step), batch, KEY)
  for name, value in expected.items():
    assert terms[name].shape == (32,)
    np.testing.assert_allclose(terms[name], value, rtol=2e-4, err_msg=name)
  if step >= START:
    # 0.32 × the mean of the sums is the source's 0.01 × their total.
    np.testing.assert_allclose(terms["grey"].mean(), total, rtol=1e-4)


def test_elbo_is_minus_the_loss_less_the_normaliser(state):
  # −½ · 784 · log(2π σ²) with σ² = ½: log π, 392 times.
  terms = compiled().evaluate(state, make_batch(), KEY)
  expected = -(terms["weighted_squared_error"] + terms["kl"]) - 392 * math.log(
    math.pi
  )
  np.testing.assert_allclose(terms["elbo"], expected, rtol=1e-5)


# What changes what


@pytest.mark.parametrize("entry", ["class", "ink"])
def test_the_condition_changes_the_latent_and_the_image(state, entry):
  batch = make_batch(2)
  condition = batch["condition"].copy()
  if entry == "class":
    condition[:, :10] = np.roll(condition[:, :10], 1, axis=1)
  else:
    condition[:, 10] = -condition[:, 10]
  z = np.zeros((2, 40), np.float32)
  old, new = (
    np.asarray(compiled().decode(state, z, c))
    for c in (batch["condition"], condition)
  )
  assert (abs(old - new).max((1, 2, 3)) > 1e-4).all()
  old, new = (
    np.asarray(compiled().encode(state, unit(batch), c).mean)
    for c in (batch["condition"], condition)
  )
  assert (abs(old - new).max(1) > 1e-5).all()


@pytest.mark.parametrize("dropout", [True, False])
def test_dropout_differs_between_steps_and_nothing_else_does(state, dropout):
  # One batch, one set of parameters, z is the mean: what is left to differ
  # between two steps is the mask.
  state = without_noise(state)
  system = compiled(overrides=None if dropout else NO_DROPOUT)
  a, b = (
    system.step(at_step(state, i), make_batch(), KEY, np.int32(i))[1]
    for i in (3, 4)
  )
  difference = abs(
    float(a["model/weighted_squared_error"] - b["model/weighted_squared_error"])
  )
  assert difference > 1e-3 if dropout else difference == 0
  assert (a["model/kl"] != b["model/kl"]) == dropout


def test_decoding_is_deterministic_and_evaluation_follows_its_key(state):
  batch = make_batch(2)
  z = np.ones((2, 40), np.float32)
  a, b = (compiled().decode(state, z, batch["condition"]) for _ in range(2))
  np.testing.assert_array_equal(a, b)
  a, b, c = (
    np.asarray(
      compiled().evaluate(state, make_batch(), jax.random.key(i))["loss"]
    )
    for i in (0, 0, 1)
  )
  np.testing.assert_array_equal(a, b)
  assert (a != c).all()


def test_render_pairs_targets_and_shares_a_style_along_a_row(state):
  batch = make_batch(4)
  panel = np.zeros((3, 11), np.float32)
  panel[[0, 1, 2], [0, 0, 5]] = 1  # two equal options and another one
  grids = compiled().render(state, batch, panel, KEY)
  target = grids["reconstruction"][0]
  np.testing.assert_allclose(target, batch["image"] / 255, atol=1e-6)
  assert grids["reconstruction"].shape == (2, 4, 28, 28, 1)
  rows = np.asarray(grids["conditions"])
  assert rows.shape == (8, 3, 28, 28, 1)
  np.testing.assert_allclose(rows[:, 0], rows[:, 1], atol=1e-6)
  assert (abs(rows[:, 0] - rows[:, 2]).max((1, 2, 3)) > 1e-4).all()
  assert (abs(rows[1:, 0] - rows[:-1, 0]).max((1, 2, 3)) > 1e-4).all()


# Configs

# By hand. Model k's row; columns that never change are left out.
LADDER = {
  1: {"data.ink": "global", "loss.grey": 0.0, "epochs": 8},
  2: {"data.ink": "per_class", "loss.grey": 0.0, "epochs": 8},
  3: {"data.ink": "per_class", "loss.grey": 0.0, "epochs": 40},
  4: {"data.ink": "per_class", "loss.grey": 0.32, "epochs": 9},
  5: {"data.ink": "per_class", "loss.grey": 0.32, "epochs": 41},
}


def flat(tree, prefix=""):
  for key, value in tree.items():
    if hasattr(value, "items"):
      yield from flat(value, f"{prefix}{key}.")
    else:
      yield prefix + key, value


def load_flat(variant):
  return dict(flat(configs.load(f"configs/digits.py:{variant}")))


@pytest.mark.parametrize("model", LADDER)
def test_published_models_are_the_specs_rows(model):
  config = load_flat(f"model={model},full")
  assert {key: config[key] for key in LADDER[model]} == LADDER[model]
  assert config["loss.grey_start"] == 1875
  assert config["batch_size"] == 32
  assert config["data.source"] == "mnist"
  assert (config["optim.lr"], config["optim.decay"]) == (0.001, 1e-6)
  assert config["optim.eps"] == 1e-7
  assert config["loss.l2"] == 0.001


@pytest.mark.parametrize("model", [2, 3, 4, 5])
def test_a_model_differs_from_the_one_before_by_its_delta_alone(model):
  before, after = (load_flat(f"model={k},full") for k in (model - 1, model))
  changed = {key for key in before | after if before[key] != after[key]}
  delta = {
    key for key in LADDER[model] if LADDER[model][key] != LADDER[model - 1][key]
  }
  assert changed == delta | {"name", "reference"}


EVERY = [f"configs/digits.py:model={k},smoke" for k in LADDER]
EVERY += ["configs/classifier.py:smoke"]


@pytest.mark.parametrize("name", EVERY)
def test_every_config_trains_one_step_with_a_finite_loss(name):
  system = compiled(name)
  batch = make_batch() | {"label": np.arange(32, dtype=np.int32) % 10}
  batch = {column: batch[column] for column in system.system.columns}
  before = (compiled(name) if "classifier" in name else compiled()).initial
  after, metrics = system.step(before, batch, KEY, np.int32(0))
  assert after.step == 1
  assert all(np.isfinite(value) for value in metrics.values())
  leaves = map(jax.tree.leaves, (before.params, after.params))
  for a, b in zip(*leaves, strict=True):
    assert (np.asarray(a) != np.asarray(b)).any()  # every leaf learns


def test_the_classifier_has_526362_parameters():
  params = compiled("configs/classifier.py:smoke").initial.params
  leaves = jax.tree.leaves(params)
  assert sum(leaf.size for leaf in leaves) == 526_362


def test_many_steps_trace_once(state):
  for i in range(3):
    state, _ = compiled().step(state, make_batch(seed=i), KEY, np.int32(10 + i))
  assert state.step == 13
  assert compiled().traces == 1  # of all the tests that came before, too
