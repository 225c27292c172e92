"""The zoo's digit systems: counts, losses in NumPy, who moves, resume."""

import functools
import math

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import config as configs
from cvae_jax import figures, runs, train
from tests import small

ZOO = "configs/zoo.py"
KEY = jax.random.key(0)
BATCH = 6

# zoo §1 to §4, §7, §8
COUNTS = {
  "vae": {"encoder": 645_004, "decoder": 644_784},
  "scvae": {"encoder": 650_004, "decoder": 649_784},
  "m2,faithful": {
    "classifier": 648_010,
    "inference": 650_004,
    "generator": 649_784,
  },
  "m3": {
    "encoder": 645_004,
    "decoder": 644_784,
    "project": 6,
    "classifier": 30,
    "merge": 26,
  },
  "aae": {
    "encoder": 1_788_002,
    "decoder": 1_788_784,
    "discriminator": 1_005_001,
  },
  "aae,faithful": {
    "encoder": 1_582,
    "decoder": 1_788_784,
    "discriminator": 1_005_001,
  },
  "ilaae": {
    "encoder": 1_788_002,
    "decoder": 1_788_784,
    "discriminator": 1_015_001,
  },
}
TOTALS = {
  "vae": 1_289_788,
  "scvae": 1_299_788,
  "m2,faithful": 1_947_798,
  "m3": 1_289_850,
}

jit = functools.partial(
  jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def widths(name):
  """Makes a page's networks small."""
  nets = {
    "m2": ("classifier", "inference", "generator"),
    "m1m2": ("classifier", "inference", "generator"),
    "aae": ("encoder", "decoder", "discriminator"),
    "ilaae": ("encoder", "decoder", "discriminator"),
  }.get(name.partition(",")[0], ("encoder", "decoder"))
  changes = {f"model.{net}.widths": (5, 4) for net in nets}
  if name.startswith("m1m2"):
    changes |= {
      f"model.features.{net}.widths": (5,) for net in ("encoder", "decoder")
    } | {"model.features.latents": 3}
  if "aae" not in name:
    changes["model.latents"] = 2 if name.startswith("m3") else 3
  return changes


class Compiled:
  """A small system, its players and functions compiled once."""

  def __init__(self, name, **changes):
    from cvae_jax import update

    self.players, make_step = {}, update.make_step
    self.config = configs.load(
      f"{ZOO}:{name}", widths(name) | small._dotted(changes)
    )
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(
        update, "make_step", lambda p: self.players.update(p) or make_step(p)
      )
      self.system = configs.resolve(self.config)
    self.initial = jit(self.system.init)(KEY)
    self.step = jit(self.system.step)
    self.evaluate = jit(self.system.evaluate)


@functools.cache
def compiled(name, **changes):
  return Compiled(name, **changes)


@functools.cache
def batch(classes=10, seed=0):
  rng = np.random.default_rng(seed)
  shape = (BATCH, 28, 28, 1)
  label = rng.integers(0, 10, BATCH)
  return {
    "image": rng.integers(0, 256, shape).astype(np.uint8),
    "labelled_image": rng.integers(0, 256, shape).astype(np.uint8),
    "label": label.astype(np.int32),
    "condition": np.eye(10, dtype=np.float32)[label][:, :classes],
  }


def batch_for(name):
  return batch(0 if name.partition(",")[0] in ("vae", "m1", "aae") else 10)


def float64(tree):
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def flat(images):
  return images.reshape(len(images), -1) / 255.0


# NumPy, layer by layer

ACTIVATIONS = {
  "relu": lambda x: np.maximum(x, 0),
  "softplus": lambda x: np.logaddexp(0, x),
  "leaky_0.15": lambda x: np.where(x > 0, x, 0.15 * x),
}


def dense(x, layer):
  return x @ layer["kernel"] + layer["bias"]


def mlp(x, layers, activation, *heads):
  for i in range(sum(name.startswith("dense") for name in layers)):
    x = ACTIVATIONS[activation](dense(x, layers[f"dense_{i}"]))
  return [dense(x, layers[head]) for head in heads]


def bernoulli(x, logits):
  p = 1 / (1 + np.exp(-logits))
  return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1)


def kl(mean, logvar):
  return 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(-1)


def softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def noiseless(state, branch="encoder"):
  """Makes a posterior so sure of itself that z is its mean: σ = e⁻⁵⁰."""
  layers = dict(state.params[branch])
  head = layers["logvar"]
  layers["logvar"] = {
    "kernel": 0 * head["kernel"],
    "bias": 0 * head["bias"] - 100,
  }
  return state.replace(params={**state.params, branch: layers})


def trained(system, name, steps=3):
  """Moves a little, so that biases are not 0."""
  state = system.initial
  for i in range(steps):
    state, _ = system.step(state, batch_for(name), KEY, np.int32(i))
  assert state.step == steps
  return state


# Parameters


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_spec_s(name):
  system = configs.resolve(configs.load(f"{ZOO}:{name}"))
  params = jax.eval_shape(system.init, KEY).params
  sizes = {
    branch: sum(leaf.size for leaf in jax.tree.leaves(tree))
    for branch, tree in params.items()
  }
  assert sizes == COUNTS[name]
  assert sum(sizes.values()) == TOTALS.get(name, sum(sizes.values()))


def test_hidden_kernels_start_he_normal_and_heads_glorot():
  system = configs.resolve(configs.load(f"{ZOO}:scvae"))
  layers = jit(system.init)(KEY).params["encoder"]
  kernel = np.asarray(layers["dense_0"]["kernel"], np.float64)
  assert kernel.std() == pytest.approx(math.sqrt(2 / 794), rel=0.01)
  # The label's rows are of the same layer, so of the same spread.
  assert kernel[784:].std() == pytest.approx(math.sqrt(2 / 794), rel=0.05)
  limit = math.sqrt(6 / (500 + 2))
  head = abs(np.asarray(layers["mean"]["kernel"]))
  assert 0.98 * limit < head.max() <= limit * (1 + 1e-6)


# Losses


@pytest.mark.parametrize("name", ["vae", "scvae"])
def test_the_loss_of_a_vae_is_bernoulli_nats_and_kl(name):
  system = compiled(name)
  state = noiseless(trained(system, name))
  x, y = flat(batch()["image"]), batch_for(name)["condition"]
  params = float64(state.params)
  mean, logvar = mlp(
    np.hstack([x, y]), params["encoder"], "relu", "mean", "logvar"
  )
  (logits,) = mlp(np.hstack([mean, y]), params["decoder"], "relu", "logits")
  terms = system.evaluate(state, batch_for(name), KEY)
  np.testing.assert_allclose(
    terms["reconstruction"], bernoulli(x, logits), rtol=1e-5
  )
  np.testing.assert_allclose(terms["kl"], kl(mean, logvar), rtol=1e-5)
  np.testing.assert_allclose(
    terms["loss"], bernoulli(x, logits) + kl(mean, logvar), rtol=1e-5
  )
  np.testing.assert_allclose(terms["elbo"], -terms["loss"], rtol=1e-6)


def m2_bounds(params, x, y, m1=False):
  """Gives L(x, y) of one label, in NumPy, z being its mean."""
  mean, logvar = mlp(
    np.hstack([x, y]), params["inference"], "softplus", "mean", "logvar"
  )
  inputs, heads = np.hstack([mean, y]), ("mean", "logvar")
  if not m1:
    (logits,) = mlp(inputs, params["generator"], "softplus", "logits")
    nats = bernoulli(x, logits)
  else:
    centre, spread = mlp(inputs, params["generator"], "softplus", *heads)
    nats = np.log(2 * np.pi) + spread + (x - centre) ** 2 / np.exp(spread)
    nats = 0.5 * nats.sum(-1)
  return nats + kl(mean, logvar) + np.log(10)


def marginal(params, x, m1=False):
  """Gives U(x) = Σ q(y|x) L(x, y) − H(q(y|x)), a label at a time."""
  q = softmax(mlp(x, params["classifier"], "softplus", "logits")[0])
  total = np.zeros(len(x))
  for label in range(10):
    y = np.tile(np.eye(10)[label], (len(x), 1))
    total += q[:, label] * m2_bounds(params, x, y, m1)
  return total + (q * np.log(q)).sum(-1)


@functools.cache
def m2_case(name):
  """Gives a small M2 without noise, its state and its data in NumPy."""
  system = compiled(name, loss__binarise=False)
  state = trained(system, name)
  rng = np.random.default_rng(0)  # they start too small to show anything
  params = jax.tree.map(
    lambda p: p + rng.normal(0, 0.3, p.shape).astype(np.float32), state.params
  )
  state = noiseless(state.replace(params=params), "inference")
  if name.startswith("m1m2"):
    state = noiseless(state, "encoder")
  params, xs = float64(state.params), {}
  for column in ("image", "labelled_image"):
    xs[column] = flat(batch()[column])
    if name.startswith("m1m2"):
      (xs[column],) = mlp(xs[column], params["encoder"], "softplus", "mean")
  return system, state, params, xs


@pytest.mark.parametrize("name", ["m2", "m1m2"])
def test_m2_sums_over_every_label_of_an_unlabelled_digit(name):
  system, state, params, xs = m2_case(name)
  terms = system.evaluate(state, batch(), KEY)
  expected = marginal(params, xs["image"], name == "m1m2")
  np.testing.assert_allclose(terms["unlabelled"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["m2", "m1m2"])
def test_m2_s_loss_weighs_labelled_unlabelled_and_classifier(name):
  system, state, params, xs = m2_case(name)
  m1, y = name == "m1m2", batch()["condition"].astype(np.float64)
  x = xs["labelled_image"]
  labelled = m2_bounds(params, x, y, m1)
  q = softmax(mlp(x, params["classifier"], "softplus", "logits")[0])
  entropy = -np.log(q[np.arange(BATCH), batch()["label"]])
  kernels = [
    layer["kernel"]
    for branch in ("classifier", "inference", "generator")
    for layer in params[branch].values()
  ]
  expected = (
    (1 - 100 / 4500) * marginal(params, xs["image"], m1).mean()
    + 100 / 4500 * labelled.mean()
    + 0.1 * entropy.mean()
    + 0.5 / 4500 * sum((kernel**2).sum() for kernel in kernels)
  )
  _, metrics = system.step(state, batch(), KEY, state.step)
  np.testing.assert_allclose(metrics["model/loss"], expected, rtol=1e-5)
  np.testing.assert_allclose(
    metrics["model/cross_entropy"], entropy.mean(), rtol=1e-5
  )
  wrong = q.argmax(-1) != batch()["label"]
  terms = system.evaluate(state, batch(), KEY)
  np.testing.assert_array_equal(terms["error"], wrong)


def test_m1m2_bounds_the_pixels_by_both_models():
  system, state, params, xs = m2_case("m1m2")
  (logits,) = mlp(xs["image"], params["decoder"], "softplus", "logits")
  # log q(z₁ | x) at its mean, logvar being −100
  density = 3 * (50 - 0.5 * np.log(2 * np.pi))
  expected = -marginal(params, xs["image"], True)
  expected -= bernoulli(flat(batch()["image"]), logits) + density
  terms = system.evaluate(state, batch(), KEY)
  np.testing.assert_allclose(terms["elbo"], expected, rtol=1e-3)


def test_latents_that_m1_does_not_read_are_left_out():
  system, state, params, xs = m2_case("m1m2")
  decoder = dict(state.params["decoder"])
  kernel = decoder["dense_0"]["kernel"].at[1].multiply(1e-3)
  decoder["dense_0"] = decoder["dense_0"] | {"kernel": kernel}
  deaf = state.replace(params={**state.params, "decoder": decoder})
  x = xs["image"] * [1, 0, 1]
  mean, _ = mlp(
    np.hstack([x, batch()["condition"]]),
    params["inference"],
    "softplus",
    "mean",
    "logvar",
  )
  image = batch()["image"].astype(np.float32) / 255
  q = system.system.encode(deaf, image, batch()["condition"])
  np.testing.assert_allclose(q.mean, mean, rtol=1e-5, atol=1e-7)
  before = system.evaluate(state, batch(), KEY)["unlabelled"]
  after = system.evaluate(deaf, batch(), KEY)["unlabelled"]
  assert abs(np.asarray(before) - np.asarray(after)).min() > 0.1


def test_the_source_s_m2_sees_a_fixed_soft_code():
  system = compiled("m2,faithful")
  state = noiseless(trained(system, "m2"), "inference")
  for before, after in zip(
    jax.tree.leaves(system.initial.params["classifier"]),
    jax.tree.leaves(state.params["classifier"]),
    strict=True,
  ):
    np.testing.assert_array_equal(before, after)
  params, x = float64(state.params), flat(batch()["image"])
  y = softmax(mlp(x, params["classifier"], "relu", "logits")[0])
  mean, logvar = mlp(
    np.hstack([x, y]), params["inference"], "relu", "mean", "logvar"
  )
  (logits,) = mlp(np.hstack([mean, y]), params["generator"], "relu", "logits")
  expected = (bernoulli(x, logits) + kl(mean, logvar)).mean()
  _, metrics = system.step(state, batch(), KEY, state.step)
  np.testing.assert_allclose(metrics["model/loss"], expected, rtol=1e-5)


def test_m3_decodes_the_merged_projection_and_category():
  system = compiled("m3")
  state = noiseless(trained(system, "m3"))
  params, x = float64(state.params), flat(batch()["image"])
  (z,) = mlp(x, params["encoder"], "relu", "mean")
  y = softmax(dense(z, params["classifier"]["logits"]))
  code = dense(z, params["project"]["code"])
  code = dense(np.hstack([code, y]), params["merge"]["code"])
  (logits,) = mlp(code, params["decoder"], "relu", "logits")
  terms = system.evaluate(state, batch(), KEY)
  np.testing.assert_allclose(
    terms["reconstruction"], bernoulli(x, logits), rtol=1e-5
  )


def judged(z, slot, params, real):
  (logit,) = mlp(
    np.hstack([z, slot]), params["discriminator"], "leaky_0.15", "logit"
  )
  p = 1 / (1 + np.exp(-logit[:, 0]))
  return -np.log(p if real else 1 - p)


@pytest.mark.parametrize("name", ["aae", "ilaae", "ilaae,labels=100"])
def test_adversaries_are_judged_in_their_slots(name):
  """Compares each player's loss with NumPy, known draws for the prior's."""
  from cvae_jax import priors

  rng = np.random.default_rng(0)
  sets = 2 if "labels" in name else 1
  drawn = priors.Draw(
    rng.normal(size=(sets * BATCH, 2)).astype(np.float32),
    rng.integers(0, 10, sets * BATCH).astype(np.int32),
  )
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(priors.PRIORS, "normal", lambda *_: drawn)
    system = Compiled(name)
    state = trained(system, name)
    losses = {
      player: system.players[player].loss(
        state.params, {}, batch(), KEY, state.step
      )[0]
      for player in ("autoencoder", "discriminator", "generator")
    }
  params = float64(state.params)

  def encode(column):
    return mlp(flat(batch()[column]), params["encoder"], "leaky_0.15", "code")[
      0
    ]

  codes, draws = encode("image"), drawn.z
  fake = real = np.zeros((BATCH, 0))
  if name != "aae":
    size = system.config.model.slots
    fake = np.eye(size)[batch()["label"]]
    real = np.eye(size)[drawn.region[-BATCH:]]
    codes = encode("labelled_image")
  if "labels" in name:
    codes = np.vstack([encode("image"), codes])
    last = np.tile(np.eye(11)[10], (BATCH, 1))
    fake, real = np.vstack([last, fake]), np.vstack([last, real])
  expected = judged(codes, fake, params, False).mean()
  generator = judged(codes, fake, params, True).mean()
  expected += judged(draws, real, params, True).mean()
  np.testing.assert_allclose(losses["discriminator"], expected, rtol=1e-5)
  np.testing.assert_allclose(losses["generator"], generator, rtol=1e-5)
  (logits,) = mlp(encode("image"), params["decoder"], "leaky_0.15", "logits")
  error = (flat(batch()["image"]) - 1 / (1 + np.exp(-logits))) ** 2
  np.testing.assert_allclose(losses["autoencoder"], error.mean() / 2, rtol=1e-5)


# Who moves


@pytest.mark.parametrize(
  ("name", "frozen"),
  [
    ("vae", ()),
    ("m2", ()),
    ("m2,faithful", ("classifier",)),
    ("m1m2", ("encoder", "decoder")),
    ("m3", ()),
    ("ilaae", ()),
  ],
)
def test_branches_move_unless_nobody_owns_them(name, frozen):
  system = compiled(name)
  state = trained(system, name)
  for branch in state.params:
    moved = [
      not np.array_equal(a, b)
      for a, b in zip(
        jax.tree.leaves(state.params[branch]),
        jax.tree.leaves(system.initial.params[branch]),
        strict=True,
      )
    ]
    assert all(moved) if branch not in frozen else not any(moved), branch


def test_each_adversary_moves_its_own_branches():
  owned = {
    name: player.owns for name, player in compiled("ilaae").players.items()
  }
  assert list(owned.items()) == [
    ("autoencoder", ("encoder", "decoder")),
    ("discriminator", ("discriminator",)),
    ("generator", ("encoder",)),
  ]
  twice = compiled("ilaae,prior=swiss_roll").players
  assert list(twice)[2:] == ["generator", "generator_2"]


def test_noise_on_the_input_only_disturbs_training():
  quiet = compiled("aae")
  for noise in ("gaussian", "dropout"):
    noisy = compiled("aae", model__noise=noise)
    a, b = (
      system.step(system.initial, batch(0), KEY, np.int32(0))[1]
      for system in (quiet, noisy)
    )
    assert a["autoencoder/loss"] != b["autoencoder/loss"]
    a, b = (
      system.evaluate(quiet.initial, batch(0), KEY) for system in (quiet, noisy)
    )
    np.testing.assert_array_equal(a["mse"], b["mse"])


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model__slots": 3}, r"slots=3: expected 0 \(no labels\), 10"),
    ({"model__slots": 10, "model__latents": 5}, "latents are 2, found 5"),
    ({"model__prior": "cube"}, "normal, swiss_roll, mixture; found 'cube'"),
  ],
)
def test_an_adversarial_model_that_cannot_be_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    Compiled("aae", **changes)


# Configs


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("vae,m2", "one system at a time, found vae and m2"),
    ("vae,labels=100", "labels is for m2, m1m2, ilaae; found vae"),
    ("scvae,prior=mixture", "prior is for aae, ilaae; found scvae"),
    ("ilaae,faithful", "no faithful ilaae: .* it stacks codes"),
    (
      "aae,prior=swiss_roll,faithful",
      "no faithful swiss_roll: .* scikit-learn",
    ),
    ("m1,faithful", "no faithful m1: it follows Kingma"),
  ],
)
def test_what_the_zoo_does_not_have_is_explained(arg, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.load(f"{ZOO}:{arg}")


def test_every_variant_of_the_sweep_is_a_config():
  variants = configs.variants(ZOO)
  assert len(set(variants)) == len(variants)
  for variant in variants:
    config = configs.load(f"{ZOO}:{variant},full")
    assert config.data.source == "mnist"
  config = configs.load(f"{ZOO}:m1m2,labels=100,draw=3,full")
  assert (config.seed, config.data.label_seed, config.data.labels) == (
    3,
    3,
    100,
  )
  assert config.loss.labelled == pytest.approx(100 / 60_000)


# Whole runs


def zoo_config(data, name, **changes):
  own = {
    "data.path": str(data),
    "batch_size": 32,
    "epochs": 2,
    "log_every": 3,
    "checkpoint_every": 7,
  }
  return configs.load(
    f"{ZOO}:{name},smoke", widths(name) | own | small._dotted(changes)
  )


@pytest.fixture(scope="module")
def m1(data, tmp_path_factory):
  """A small M1's run, for an M2 to stand on."""
  folder = tmp_path_factory.mktemp("zoo") / "m1"
  nets = {f"model__{net}__widths": (5,) for net in ("encoder", "decoder")}
  train.train_and_evaluate(zoo_config(data, "m1", **nets), folder)
  return folder


def test_m2_stands_on_a_trained_m1_and_resumes_exactly(data, m1, tmp_path):
  source = f"{m1}:encoder,decoder"
  for folder, stops in (("whole", [2]), ("stopped", [1, 2])):
    for epochs in stops:
      config = zoo_config(data, "m1m2", init_from=source, epochs=epochs)
      state = train.train_and_evaluate(config, tmp_path / folder)
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []
  lender = runs.load(m1).state.params
  for branch in ("encoder", "decoder"):
    for ours, theirs in zip(
      jax.tree.leaves(state.params[branch]),
      jax.tree.leaves(lender[branch]),
      strict=True,
    ):
      np.testing.assert_array_equal(ours, theirs)


def test_adversaries_resume_exactly(data, tmp_path):
  for folder, stops in (("whole", [2]), ("stopped", [1, 2])):
    for epochs in stops:
      config = zoo_config(data, "ilaae,labels=50", epochs=epochs)
      train.train_and_evaluate(config, tmp_path / folder)
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []


FIGURES = {
  "scvae": {"prior", "classes", "paths"},
  "vae,latents=2": {"prior", "latents", "codes"},
  "aae,prior=swiss_roll": {"prior", "latents", "codes"},
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_of_the_zoo_can_be_loaded_and_drawn(data, tmp_path, name):
  changes = {"model__latents": 2} if "latents=2" in name else {}
  train.train_and_evaluate(
    zoo_config(data, name, epochs=1, **changes), tmp_path
  )
  run = runs.load(tmp_path)
  drawn = figures.draw(run)
  assert set(drawn) == FIGURES[name]
  for pictures in drawn.values():
    assert pictures.ndim == 5
    assert np.ptp(np.asarray(pictures, np.float64)) > 0
  if name == "scvae":
    assert drawn["paths"].shape == (10, 10, 28, 28, 1)
    five = run.conditions.encode([5])
    z = run.prior(2, 0)[:1]
    np.testing.assert_allclose(
      drawn["paths"][5, 0], run.decode(z, five)[0], atol=1e-6
    )
  if "swiss_roll" in name:
    radius = np.linalg.norm(run.prior(500, 1), axis=-1)
    assert 0.5 < radius.min() < radius.max() < 2.1
