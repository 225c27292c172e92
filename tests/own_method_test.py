"""Mistakes in a method of one's own: one line, before anything is trained."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cvae_jax import config as configs, data, runs, train
from cvae_jax.host import images
from cvae_jax.loop import own_system
from cvae_jax.method import gaussian, losses, optim, parts, update
from cvae_jax.types import Facts, Player, System
from launch import command
from tests.used_test import PAGES, PLACE

Z = 3
PAGE = {
  "system": "mine",
  "epochs": 1,
  "data": {"name": "arrays"},
  "optim": {"lr": 1e-3},
}


def make(config, facts, loss=None):
  """A small VAE in plain jax, and its parts."""
  pixels = math.prod(facts.image_shape)

  def encode(state, image, c):
    rows = image.reshape(len(image), -1) @ state.params["encoder"]
    return gaussian.Gaussian(rows[:, :Z], rows[:, Z:])

  def decode(state, z, c):
    output = jax.nn.sigmoid(z @ state.params["decoder"])
    return output.reshape(-1, *facts.image_shape)

  def terms(state, batch, key):
    image = parts.unit(batch["image"])
    q = encode(state, image, None)
    output = decode(state, gaussian.reparameterise(key, q), None)
    squares = losses.squared_error(image, output)
    kl = gaussian.kl_to_prior(q).sum(axis=-1)
    return {"squares": squares, "kl": kl, "loss": squares + kl}

  def usual(params, model_state, batch, key, step):
    state = update.init_state({}, params)
    found = parts.means(terms(state, batch, key))
    return found.pop("loss"), (found, model_state)

  def init(key):
    encoder = 0.01 * jax.random.normal(key, (pixels, 2 * Z))
    params = {"encoder": encoder, "decoder": jnp.ones((Z, pixels))}
    return update.init_state(players, params)

  tx = optim.build(config.optim)
  owns = ("encoder", "decoder")
  players = {"model": Player(loss or usual, tx, owns)}
  return System(
    init=init,
    step=update.make_step(players),
    evaluate=terms,
    columns={"image": facts.image_shape},
    encode=encode,
    decode=decode,
    latents=Z,
  )


def swapped(**parts_of):
  """A make whose System has other functions, each made of the usual one."""

  def other(config, facts):
    usual = make(config, facts)
    return usual._replace(
      **{name: change(usual) for name, change in parts_of.items()}
    )

  return other


def train_it(folder, made, dataset=None):
  pixels = np.random.default_rng(0).integers(0, 256, (48, 6, 6), np.uint8)
  dataset = dataset or data.from_arrays(pixels)
  page = ConfigDict(PAGE)
  train.train_and_evaluate(page, folder, system=made, dataset=dataset)
  return runs.load(folder, system=made)


def test_a_config_of_a_notebook_takes_the_loop_s_defaults(tmp_path):
  run = train_it(tmp_path, make)
  assert run.config.batch_size == 32
  assert run.sample(count=2).shape == (2, 6, 6, 1)


ROWS = "{name: .B.}, a number of each row, not reduced"


@pytest.mark.parametrize(
  ("changed", "said"),
  [
    (
      {"evaluate": lambda s: lambda *a: parts.means(s.evaluate(*a))},
      rf"evaluate .* returned float32 \[\] for 'kl'; expected {ROWS}",
    ),
    (
      {"evaluate": lambda s: lambda *a: {"kl": s.evaluate(*a)["kl"][:, None]}},
      r"returned float32 \[8, 1\] for 'kl'",
    ),
    ({"evaluate": lambda s: lambda *a: 3}, r"returned int32 \[\]; expected"),
    (
      {"evaluate": lambda s: lambda st, b, k: {"kl": b["label"]}},
      "evaluate of the system reads the column 'label' .* names image: name",
    ),
    ({"step": lambda s: None}, "step of the system is None; expected a func"),
    ({"init": lambda s: lambda k: s.init(k).params}, "a dict; .*init_state"),
    ({"columns": lambda s: ("image",)}, r"as facts.columns is: {'image': \(6"),
    ({"notes": lambda s: "mine"}, "notes .* the text 'mine'; expected a tuple"),
    ({"latents": lambda s: 0}, "latents of the system is 0; expected Z"),
    (
      {"latents": lambda s: 5},
      r"encode .* float32 \[8, 3\] for the mean; expected .* \[B, 5\]",
    ),
    (
      {"encode": lambda s: lambda *a: s.encode(*a).mean},
      r"encode .* float32 \[8, 3\]; .*without a variance: gaussian.point",
    ),
    (
      {"decode": lambda s: lambda *a: s.decode(*a).reshape(-1, 36)},
      r"decode .* float32 \[8, 36\]; expected images \[B, 6, 6, 1\], float32",
    ),
    (
      {"decode": lambda s: lambda *a: s.decode(*a).astype(jnp.uint8)},
      r"decode .* uint8 \[8, 6, 6, 1\]",
    ),
    (
      {"step": lambda s: lambda *a: s.step(*a)[0]},
      "step of the system returned a TrainState; expected .TrainState, {nam",
    ),
    (
      {"step": lambda s: lambda state, *a: (state, {"x": 1.0})},
      "a state of the same step; expected state.replace",
    ),
  ],
)
def test_what_a_method_s_functions_return_is_checked(tmp_path, changed, said):
  with pytest.raises(ValueError, match=said) as error:
    train_it(tmp_path, swapped(**changed))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("returned", "said"),
  [
    (lambda v, m, s: v, r"\(scalar, .*\); found an array of shape \(\)"),
    (lambda v, m, s: (v, m), r"found \(an array of shape \(\), a dict\)"),
    (lambda v, m, s: (v, (None, s)), "metrics is {name: scalar}; found None"),
    (lambda v, m, s: (v[None], (m, s)), r"the loss is a scalar, .*\(1,\)"),
    (
      lambda v, m, s: (v, ({"kl": m["kl"][None]}, s)),
      r"the metric 'kl' .* a scalar, .* parts.means averages",
    ),
    (lambda v, m, s: (v, ({"loss": v}, s)), "'loss', .*: pop it, or give it"),
    (lambda v, m, s: (v, ({"moves": v}, s)), "'moves', which is the name of"),
    (lambda v, m, s: (v > 0, (m, s)), "the loss is a float; .* bool"),
    (
      lambda v, m, s: (v, (m, {"mine": jnp.ones(2)})),
      r"model_state of another form .*found mine \(2,\), expected nothing",
    ),
  ],
)
def test_what_a_loss_returns_is_checked(tmp_path, returned, said):
  def made(config, facts):
    def loss(params, model_state, batch, key, step):
      found = usual(update.init_state({}, params), batch, key)
      means = parts.means(found)
      return returned(means.pop("loss"), means, model_state)

    usual = make(config, facts).evaluate
    return make(config, facts, loss)

  with pytest.raises(ValueError, match=said) as error:
    train_it(tmp_path, made)
  assert "config.model" not in str(error.value)
  assert "\n" not in str(error.value)


def test_an_error_of_one_s_own_is_not_said_to_be_of_config_model(tmp_path):
  def made(config, facts):
    return make(config, facts, lambda params: params)  # takes too little

  with pytest.raises(TypeError, match="positional argument"):
    train_it(tmp_path, made)


@pytest.mark.parametrize(
  ("scale", "said"),
  [
    (255, r"decodes values from .*; expected images in \[0, 1\]: divide"),
    (jnp.nan, "decodes is not finite in 100% of the values"),
  ],
)
def test_what_is_decoded_and_is_no_image_is_not_shown(tmp_path, scale, said):
  decode = {"decode": lambda s: lambda *a: s.decode(*a) * scale}
  run = train_it(tmp_path, swapped(**decode))
  with pytest.raises(runs.RunError, match=said):
    run.sample(count=2)


def test_a_held_out_metric_that_is_not_finite_is_said(tmp_path, capsys):
  def padded(usual):
    return lambda s, b, k: {
      **usual.evaluate(s, b, k),
      "odd": jnp.full(len(b["image"]), jnp.nan),
    }

  train_it(tmp_path, swapped(evaluate=padded))
  assert "warning: odd of the test rows: not finite" in capsys.readouterr().out


def test_a_branch_that_no_player_owns_is_said(tmp_path, capsys):
  def made(config, facts):
    usual = make(config, facts)
    book = {"codebook": jnp.ones((4, Z))}
    return usual._replace(
      init=lambda key: (s := usual.init(key)).replace(params=s.params | book)
    )

  train_it(tmp_path, made)
  assert "note: no player owns codebook, so" in capsys.readouterr().out
  train_it(tmp_path / "usual", make)
  assert "no player owns" not in capsys.readouterr().out


@pytest.mark.parametrize(
  "term",
  [losses.squared_error, losses.mean_squared_error, losses.bernoulli_nats],
)
def test_a_loss_refuses_images_as_a_batch_has_them(term):
  image = np.zeros((2, 4, 4, 1), np.uint8)
  with pytest.raises(ValueError, match=r"parts.unit\(batch\['image'\]\) maps"):
    term(image, np.zeros((2, 4, 4, 1), np.float32))
  with pytest.raises(ValueError, match="16 values and the logits have 15"):
    losses.bernoulli_nats(np.zeros((2, 16)), np.zeros((2, 15)))


def test_the_package_s_own_systems_pass_the_check():
  for page, shape, conditions in [PAGES["vae"], PAGES["cvae"], PAGES["gan"]]:
    facts = Facts({"image": shape, "condition": (conditions,)}, 90, (PLACE,))
    made = configs.resolve(configs.load(page), facts)
    there = {
      name: np.zeros((2, *size), np.uint8 if name == "image" else np.float32)
      for name, size in made.columns.items()
    }
    own_system.check_functions(made, there)
    assert not own_system.find_idle(made, there)


def test_a_command_names_the_line_of_one_s_own_code():
  with pytest.raises(KeyError) as error:
    {}["mine"]
  (said,) = command.explain(error.value)
  assert "unexpected KeyError: " in said
  assert "own_method_test.py:" in said
  with pytest.raises(ValueError, match="a grid is images") as error:
    images.grid(np.zeros((2, 3)))
  (said,) = command.explain(error.value)
  assert said.startswith("error: a grid is images")


def test_a_module_of_one_s_own_without_a_dot_is_told_of_it():
  with pytest.raises(configs.ConfigError, match=r"as my_lab.mine for my_lab/"):
    configs.resolve(configs.load("zoo:vae", {"system": "mine"}))


USUAL = data.from_arrays(
  np.zeros((40, 6, 6), np.uint8), {"size": np.linspace(0, 1, 40)}
)


@pytest.mark.parametrize(
  ("column", "change", "said"),
  [
    ("image", lambda x: x[..., 0], r"\[N, H, W, C\]: images\[..., None\]"),
    ("image", lambda x: x.tolist(), "'image' of train is a list; expected a N"),
    ("image", lambda x: x[:, :3], "test has examples of .* those of train"),
    ("image", lambda x: None, "no column 'image'; they have condition"),
    ("condition", lambda x: x[:, 0], r"the shape \(36,\); expected \[N, A\]"),
    ("condition", lambda x: x * np.nan, "not finite in 36 rows, the first is"),
    ("condition", lambda x: x.astype(object), "ndarray of type object; expect"),
  ],
)
def test_a_dataset_of_one_s_own_is_checked(tmp_path, column, change, said):
  changed = change(USUAL.train[column])
  columns = {**USUAL.train, column: changed}
  columns = {k: v for k, v in columns.items() if v is not None}
  with pytest.raises(ValueError, match=said) as error:
    train_it(tmp_path, make, USUAL._replace(train=columns))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("changed", "said"),
  [
    ({"conditions": None}, "conditions of the Dataset is None; .*Conditions.f"),
    ({"train": [1]}, "train of the Dataset is a list; expected {column"),
    (
      {
        "conditions": data.from_arrays(
          np.zeros((9, 6, 6), np.uint8), {"a": [*"abcabcabc"]}, held_out=0
        ).conditions
      },
      "has 1 entries a row, but its conditions describe 3",
    ),
  ],
)
def test_conditions_of_one_s_own_are_checked(tmp_path, changed, said):
  with pytest.raises(data.DataError, match=said):
    train_it(tmp_path, make, USUAL._replace(**changed))


def test_conditions_without_names_are_refused():
  with pytest.raises(data.DataError, match=r"found \(9, 2\): give each column"):
    data.from_arrays(np.zeros((9, 6, 6), np.uint8), np.zeros((9, 2)))
