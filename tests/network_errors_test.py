"""Networks that cannot be built are said in one line, in every system."""

import jax
import jax.numpy as jnp
import pytest

from cvae_jax import config as configs
from cvae_jax.host import lookups
from cvae_jax.loop import network_errors
from cvae_jax.types import Facts
from tests.used_test import PAGES, PLACE


def traced(system, key, value):
  """Trace a system's networks with one key of its page changed."""
  page, shape, conditions = PAGES[system]
  config = configs.load(page, {key: value})
  facts = Facts({"image": shape, "condition": (conditions,)}, 90, (PLACE,))
  with lookups.explain_errors(config), network_errors.explain(config):
    made = configs.resolve(config, facts)
    state = jax.eval_shape(made.init, jax.random.key(0))
    batch = {
      name: jax.ShapeDtypeStruct((2, *column), jnp.uint8)
      for name, column in made.columns.items()
    }
    jax.eval_shape(made.evaluate, state, batch, jax.random.key(0))


@pytest.mark.parametrize(
  ("system", "key", "value", "said"),
  [
    ("cvae", "model.decoder.map", (14, 14), "map=.height, width, channels"),
    ("cvae", "model.decoder.map", (7, 7, 1, 1), "found .7, 7, 1, 1."),
    ("cvae", "model.decoder.map", (3, 3, 3), "map in config.model decide"),
    ("cvae", "model.encoder.features", (), "one entry a layer"),
    ("autoencoder", "model.decoder.features", (), "a network gives .4, 4, 5"),
    ("autoencoder", "model.decoder.map", (4,), "index out of range"),
    ("autoencoder", "model.decoder.map", (4,) * 4, "too many values"),
    ("caae", "model.decoder.features", (), "expected to generate shape"),
    ("attribute", "model.crop", (5,), "not enough values to unpack"),
    ("attribute", "model.pool_after", (9,), "found 9; expected indices of th"),
    ("attribute", "model.pool_after", (1.5,), "6 layers of model.features"),
    ("attribute", "model.given_after", (2,), "2 layers of model.dense"),
  ],
)
def test_networks_that_do_not_fit_are_said_in_one_line(
  system, key, value, said
):
  with pytest.raises(ValueError, match=said) as error:
    traced(system, key, value)
  text = str(error.value)
  assert "model" in text or "features" in text
  assert "\n" not in text
  assert len(text) < 500


def test_a_fault_of_a_user_s_own_network_keeps_its_traceback():
  config = configs.load("digits")
  with (
    pytest.raises(TypeError, match="mul got"),
    network_errors.explain(config),
  ):
    jnp.ones(3) * jnp.ones(2)


@pytest.mark.parametrize(
  ("page", "key", "value"),
  [
    ("digits", "model.encoder.dropout", ("nan",)),
    ("digits", "model.encoder.features", (8, "x")),
    ("zoo:vae", "model.encoder.widths", ("", 3)),
    ("compare:vae,size=64", "model.decoder.map", ("4", 4, 8)),
  ],
)
def test_texts_among_a_tuple_s_numbers_are_refused(page, key, value):
  with pytest.raises(configs.ConfigError, match=rf"{key}: .*expected numbers"):
    configs.load(page, {key: value})


@pytest.mark.parametrize(
  ("page", "key", "value", "expected"),
  [
    ("digits", "model.decoder.strides", (2, 10**9, 1), "1 to 64, a whole num"),
    ("faces", "model.encoder.kernel", 10**9, "1 to 64, a whole number"),
    ("zoo:m2", "model.classifier.widths", (1.5,), "1 or more, a whole number"),
  ],
)
def test_sizes_without_a_program_of_any_length_are_refused_by_name(
  page, key, value, expected
):
  with pytest.raises(configs.ConfigError, match=f"config.{key}: .*{expected}"):
    configs.load(page, {key: value})


@pytest.mark.parametrize(
  "key", ["optim.lr", "loss.likelihood", "model.latents"]
)
def test_none_is_no_value_of_a_key(key):
  said = rf"config.{key}: found None; expected a value like"
  with pytest.raises(configs.ConfigError, match=said):
    configs.load("zoo:vae", {key: None})
