"""The zoo's digit systems: counts, losses in NumPy, who moves, resume."""

import functools
import math

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import config as configs
from cvae_jax import figures, restore, runs, train
from cvae_jax.checkpoint import CheckpointError
from cvae_jax.figures import codes
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


class Small:
  """A small system with its players, and a state to look at.

  Nothing is compiled to initialise it: what is drawn here is also large
  enough for every input to show in every output.
  """

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
    rng = np.random.default_rng(0)
    state = jax.eval_shape(self.system.init, KEY)
    params = jax.tree.map(
      lambda p: rng.normal(0, 0.3, p.shape).astype(np.float32), state.params
    )
    state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), state)
    self.state = state.replace(params=params)
    self.evaluate = jit(self.system.evaluate)

  def loss(self, state, player="model"):
    """Gives a player's loss and terms, dropout and noise as in training."""
    value, (terms, _) = jit(self.players[player].loss)(
      state.params, {}, batch(), KEY, np.int32(0)
    )
    return float(value), terms


@functools.cache
def made(name, **changes):
  return Small(name, **changes)


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
  return batch(0 if name in ("vae", "aae") else 10)


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
  """Makes a posterior so sure of itself that z is its mean: σ = e⁻⁴⁰."""
  layers = dict(state.params[branch])
  head = layers["logvar"]
  layers["logvar"] = {
    "kernel": 0 * head["kernel"],
    "bias": 0 * head["bias"] - 80,
  }
  return state.replace(params={**state.params, branch: layers})


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
  system = made(name)
  state = noiseless(system.state)
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
  system = made(name, loss__binarise=False)
  state = noiseless(system.state, "inference")
  if name == "m1m2":
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
  loss, terms = system.loss(state)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  np.testing.assert_allclose(terms["cross_entropy"], entropy.mean(), rtol=1e-5)
  wrong = q.argmax(-1) != batch()["label"]
  terms = system.evaluate(state, batch(), KEY)
  np.testing.assert_array_equal(terms["error"], wrong)


def test_m1m2_bounds_the_pixels_by_both_models():
  system, state, params, xs = m2_case("m1m2")
  (logits,) = mlp(xs["image"], params["decoder"], "softplus", "logits")
  # log q(z₁ | x) at its mean, by its log-variance
  logvar = params["encoder"]["logvar"]["bias"]
  density = -0.5 * (logvar + np.log(2 * np.pi)).sum()
  expected = -marginal(params, xs["image"], True)
  expected -= bernoulli(flat(batch()["image"]), logits) + density
  terms = system.evaluate(state, batch(), KEY)
  np.testing.assert_allclose(terms["elbo"], expected, rtol=1e-5)


def test_latents_that_m1_does_not_read_are_left_out():
  system, state, params, xs = m2_case("m1m2")
  decoder = dict(state.params["decoder"])
  kernel = decoder["dense_0"]["kernel"] * [[1], [1e-3], [1]]
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
  system = made("m2,faithful")
  state = noiseless(system.state, "inference")
  params, x = float64(state.params), flat(batch()["image"])
  y = softmax(mlp(x, params["classifier"], "relu", "logits")[0])
  mean, logvar = mlp(
    np.hstack([x, y]), params["inference"], "relu", "mean", "logvar"
  )
  (logits,) = mlp(np.hstack([mean, y]), params["generator"], "relu", "logits")
  expected = (bernoulli(x, logits) + kl(mean, logvar)).mean()
  np.testing.assert_allclose(system.loss(state)[0], expected, rtol=1e-5)


def test_m3_decodes_the_merged_projection_and_category():
  system = made("m3")
  state = noiseless(system.state)
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
    system = Small(name)
    state = system.state
    losses = {
      player: system.loss(state, player)[0]
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
  ("name", "owned"),
  [
    ("vae", {"model": ("encoder", "decoder")}),
    ("m2", {"model": ("classifier", "inference", "generator")}),
    ("m2,faithful", {"model": ("inference", "generator")}),
    ("m1m2", {"model": ("classifier", "inference", "generator")}),
    (
      "m3",
      {"model": ("encoder", "decoder", "project", "classifier", "merge")},
    ),
    (
      "ilaae",
      {
        "autoencoder": ("encoder", "decoder"),
        "discriminator": ("discriminator",),
        "generator": ("encoder",),
      },
    ),
  ],
)
def test_players_own_what_the_method_trains(name, owned):
  # That a player moves its own and nothing else is update_test's.
  players = made(name, **({} if name != "m2" else {"loss__binarise": False}))
  found = {name: player.owns for name, player in players.players.items()}
  assert list(found.items()) == list(owned.items())  # and in this order


def test_the_source_moves_the_generator_twice_on_a_swiss_roll():
  players = made("ilaae,prior=swiss_roll").players
  assert list(players)[2:] == ["generator", "generator_2"]


@pytest.mark.parametrize("noise", ["gaussian", "dropout"])
def test_noise_on_the_input_only_disturbs_training(noise):
  system = made("aae", model__noise=noise)
  quiet = np.asarray(system.evaluate(system.state, batch(0), KEY)["mse"])
  assert abs(system.loss(system.state, "autoencoder")[0] - quiet.mean()) > 5e-7


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
    Small("aae", **changes)


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


def zoo_run(data, folder, name, **changes):
  own = {
    "data.path": str(data),
    "batch_size": 32,
    "log_every": 3,
    "checkpoint_every": 7,
  }
  changes = widths(name) | own | small._dotted(changes)
  config = configs.load(f"{ZOO}:{name},smoke", changes)
  return train.train_and_evaluate(config, folder)


def test_m2_stands_on_a_trained_m1(data, tmp_path):
  nets = {f"model__{net}__widths": (5,) for net in ("encoder", "decoder")}
  lender = zoo_run(data, tmp_path / "m1", "m1", **nets).params
  source = f"{tmp_path / 'm1'}:encoder"
  state = zoo_run(data, tmp_path / "m2", "m1m2", init_from=f"{source},decoder")
  for branch in ("encoder", "decoder"):
    assert jax.tree.all(
      jax.tree.map(np.array_equal, state.params[branch], lender[branch])
    )
  run = runs.load(tmp_path / "m2")
  assert run.classify(np.zeros((3, 28, 28, 1), np.uint8)).shape == (3, 10)
  with pytest.raises(CheckpointError, match="no branch 'critic'; it has cla"):
    restore.borrow(state.params, f"{source},critic")


def test_adversaries_resume_exactly_and_are_drawn_over_their_prior(
  data, tmp_path
):
  name = "ilaae,labels=50,prior=mixture"
  zoo_run(data, tmp_path / "whole", name, epochs=2)
  for epochs in (1, 2):
    zoo_run(data, tmp_path / "stopped", name, epochs=epochs)
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []
  run = runs.load(tmp_path / "whole")
  drawn = figures.draw(run)
  assert set(drawn) == {"prior", "latents", "codes"}
  assert drawn["latents"].shape == (10, 10, 28, 28, 1)
  prior = run.prior(500, 1)  # petals at 1.4, 0.5 long
  assert 1.2 < np.linalg.norm(prior, axis=-1).mean() < 1.6


def test_a_supervised_vae_is_drawn_class_by_class(data, tmp_path):
  zoo_run(data, tmp_path, "scvae")
  run = runs.load(tmp_path)
  drawn = figures.draw(run)
  assert set(drawn) == {"prior", "classes", "paths"}
  assert drawn["paths"].shape == (10, 10, 28, 28, 1)
  first = run.decode(run.prior(2, 0)[:1], run.conditions.encode([5]))
  np.testing.assert_allclose(drawn["paths"][5, 0], first[0], atol=1e-6)


def test_codes_lie_where_they_are_and_have_their_classes_colours():
  prior = np.array([[2.0, 0.0], [0.0, -2.0]])
  z = np.array([[1.0, 1.0], [-1.0, 0.5], [9.0, 0.0]])
  picture = codes.scatter(z, np.array([3, 7, 1]), prior)
  middle, reach = codes.SIDE / 2, codes.SIDE / 2 / (2 * codes.MARGIN)
  for (x, y), label in zip(z[:2], (3, 7), strict=True):
    row, column = round(middle - y * reach), round(middle + x * reach)
    assert picture[row, column].tolist() == codes.PALETTE[label].tolist()
  edge = picture[:, -1]  # beyond the prior: on the edge
  assert codes.PALETTE[1].tolist() in edge.tolist()
  assert (picture == codes.PRIOR).all(axis=-1).sum() == 2 * codes.DOT**2
