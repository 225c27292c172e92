"""The zoo's digit systems: counts, VAEs and M3 in NumPy, configs, who moves."""

import math

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, pages
from tests import arithmetic as a, small_zoo as zoo

CLASSES = {"vae": 0, "scvae": 10}
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
  # 784-500-500-(10 + 10), 20-500-500-784 and 10-200-200-1, with biases
  "ssaae": {
    "encoder": 653_020,
    "decoder": 653_784,
    "class_discriminator": 42_601,
    "style_discriminator": 42_601,
  },
  # Makhzani et al. 2015: two layers of 1,000 units in each
  "ssaae,faithful": {
    "encoder": 1_806_020,
    "decoder": 1_806_784,
    "class_discriminator": 1_013_001,
    "style_discriminator": 1_013_001,
  },
}
TOTALS = {
  "vae": 1_289_788,
  "scvae": 1_299_788,
  "m2,faithful": 1_947_798,
  "m3": 1_289_850,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_spec_s(name):
  system = configs.resolve(configs.load(f"{zoo.ZOO}:{name}"))
  params = jax.eval_shape(system.init, zoo.KEY).params
  sizes = {
    branch: sum(leaf.size for leaf in jax.tree.leaves(tree))
    for branch, tree in params.items()
  }
  assert sizes == COUNTS[name]
  assert sum(sizes.values()) == TOTALS.get(name, sum(sizes.values()))


def test_hidden_kernels_start_he_normal_and_heads_glorot():
  system = configs.resolve(configs.load(f"{zoo.ZOO}:scvae"))
  layers = jax.jit(system.init)(zoo.KEY).params["encoder"]
  kernel = np.asarray(layers["dense_0"]["kernel"], np.float64)
  assert kernel.std() == pytest.approx(math.sqrt(2 / 794), rel=0.01)
  # The label's rows are of the same layer, so of the same spread.
  assert kernel[784:].std() == pytest.approx(math.sqrt(2 / 794), rel=0.05)
  limit = math.sqrt(6 / (500 + 2))
  head = abs(np.asarray(layers["mean"]["kernel"]))
  assert 0.98 * limit < head.max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", ["vae", "scvae"])
def test_the_loss_of_a_vae_is_bernoulli_nats_and_kl(name):
  system = zoo.made(name)
  state = zoo.noiseless(system.state)
  x = zoo.flat(zoo.batch()["image"])
  y = zoo.batch(CLASSES[name])["condition"]
  params = zoo.float64(state.params)
  mean, logvar = a.mlp(
    np.hstack([x, y]), params["encoder"], a.relu, "mean", "logvar"
  )
  (logits,) = a.mlp(np.hstack([mean, y]), params["decoder"], a.relu, "logits")
  terms = system.evaluate(state, zoo.batch(CLASSES[name]), zoo.KEY)
  np.testing.assert_allclose(
    terms["reconstruction"], a.bernoulli(x, logits), rtol=1e-5
  )
  np.testing.assert_allclose(terms["kl"], a.kl(mean, logvar), rtol=1e-5)
  np.testing.assert_allclose(
    terms["loss"], a.bernoulli(x, logits) + a.kl(mean, logvar), rtol=1e-5
  )
  np.testing.assert_allclose(terms["elbo"], -terms["loss"], rtol=1e-6)


def test_m3_decodes_the_merged_projection_and_category():
  system = zoo.made("m3")
  state = zoo.noiseless(system.state)
  params = zoo.float64(state.params)
  x = zoo.flat(zoo.batch()["image"])
  (z,) = a.mlp(x, params["encoder"], a.relu, "mean")
  y = a.softmax(a.dense(z, params["classifier"]["logits"]))
  code = a.dense(z, params["project"]["code"])
  code = a.dense(np.hstack([code, y]), params["merge"]["code"])
  (logits,) = a.mlp(code, params["decoder"], a.relu, "logits")
  terms = system.evaluate(state, zoo.batch(), zoo.KEY)
  np.testing.assert_allclose(
    terms["reconstruction"], a.bernoulli(x, logits), rtol=1e-5
  )


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
    (
      "ssaae",
      {
        "autoencoder": ("encoder", "decoder"),
        "discriminators": ("class_discriminator", "style_discriminator"),
        "generator": ("encoder",),
        "classifier": ("encoder",),
      },
    ),
  ],
)
def test_players_own_what_the_method_trains(name, owned):
  # That a player moves its own and nothing else is update_test's.
  players = zoo.made(
    name, **({} if name != "m2" else {"loss__binarise": False})
  )
  found = {name: player.owns for name, player in players.players.items()}
  assert list(found.items()) == list(owned.items())  # and in this order


def test_the_source_moves_the_generator_twice_on_a_swiss_roll():
  players = zoo.made("ilaae,prior=swiss_roll").players
  assert list(players)[2:] == ["generator", "generator_2"]


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("vae,m2", "one system at a time, found vae and m2"),
    ("vae,labels=100", "labels is for m2, m1m2, ilaae, ssaae; found vae"),
    ("scvae,prior=mixture", "prior is for aae, ilaae; found scvae"),
    ("ilaae,faithful", "no faithful ilaae: .* it stacks codes"),
    (
      "aae,prior=swiss_roll,faithful",
      "no faithful swiss_roll: .* scikit-learn",
    ),
    ("m1,faithful", "no faithful m1: it follows Kingma"),
    ("m2,labels=100,faithful", "has its own labels; leave labels out"),
    ("vae,latents=-3", "latents=-3: expected a number from 0 on"),
    ("ilaae,labels=0", "without labels is aae"),
  ],
)
def test_what_the_zoo_does_not_have_is_explained(arg, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.load(f"{zoo.ZOO}:{arg}")


def test_an_aae_whose_generator_never_moves_is_refused():
  with pytest.raises(ValueError, match="found 0; expected 1 or more"):
    configs.load(f"{zoo.ZOO}:aae", {"optim.generator_updates": 0})


@pytest.mark.parametrize(
  ("field", "known"),
  [
    ("noise", "model.noise is one of '', gaussian, dropout"),
    ("prior", "model.prior is one of normal, swiss_roll, mixture"),
    ("encoder.activation", "activation is one of .*relu, silu"),
    ("encoder.initialiser", "initialiser is one of he_normal"),
  ],
)
def test_a_misspelt_name_is_refused_with_those_there_are(field, known):
  config = configs.load(f"{zoo.ZOO}:aae", {f"model.{field}": "gausian"})
  with pytest.raises(ValueError, match=f"{known}.*; found 'gausian'"):
    jax.eval_shape(configs.resolve(config).init, zoo.KEY)


def test_every_variant_of_the_sweep_is_a_config():
  variants = pages.variants(zoo.ZOO)
  assert len(set(variants)) == len(variants)
  for variant in variants:
    config = configs.load(f"{zoo.ZOO}:{variant},full")
    assert config.data.source == "mnist"
  config = configs.load(f"{zoo.ZOO}:m1m2,labels=100,draw=3,full")
  assert (config.seed, config.data.label_seed, config.data.labels) == (
    3,
    3,
    100,
  )
  assert config.loss.labelled == pytest.approx(100 / 60_000)
