"""Nothing that a config sets is ignored in silence, in any system."""

import functools
import inspect

import jax
import numpy as np
import optax
import pytest
from jax.interpreters import partial_eval
from ml_collections import ConfigDict

from cvae_jax import config as configs, defaults, settings
from cvae_jax.method import likelihoods, matrices, optim, update
from cvae_jax.nets.fast import ops
from cvae_jax.types import Facts, Place

KEY = jax.random.key(0)

SHAPE = (28, 28, 1)
FACE = (64, 64, 3)
PLACE = Place("kind", "class", "kind", (0, 1, 2, 3), None)
# Of each system a page: (page, shape of its images, length of a condition).
PAGES = {
  "adgm": ("adgm", SHAPE, 10),
  "aae": ("zoo:aae", SHAPE, 0),
  "attribute": ("classifier", SHAPE, 11),
  "autoencoder": ("compare:vae,size=64", FACE, 0),
  "caae": ("zoo_faces:caae", FACE, 11),
  "colouring": ("colour", (112, 112, 3), 0),
  "cvae": ("digits", SHAPE, 11),
  "dfc_vae": ("zoo_faces:dfc_vae", FACE, 0),
  "gan": ("compare:gan,size=64", FACE, 0),
  "judge": ("judge", FACE, 4),
  "m2": ("zoo:m2", SHAPE, 10),
  "m3": ("zoo:m3", SHAPE, 10),
  "ssaae": ("zoo:ssaae", SHAPE, 10),
  "vae": ("zoo:scvae", SHAPE, 10),
}
COLOUR = (14, 14, 3)  # so that it matters whether each channel has a variance
# Networks of which a program is soon traced, and the shape of their images.
TINY = {
  "adgm": {
    f"model.{net}.widths": (3,)
    for net in ("auxiliary", "classifier", "inference", "partner", "generator")
  }
  | {"data.binarise": ""},
  "colouring": {"model.branch.features": (), "model.branch.dropout": 0.0},
  "cvae": {
    f"model.{net}.{key}": value
    for net, features in (("encoder", 2), ("decoder", 3))
    for key, value in (
      ("features", (features,)),
      ("strides", (2,)),
      ("dropout", (0.5,)),
    )
  },
  "dfc_vae": {"model.features.taps": ()},
  "m2": {
    f"model.{net}.widths": (3,)
    for net in ("classifier", "inference", "generator")
  }
  | {"loss.binarise": False},
  "vae": {"model.encoder.widths": (3,), "model.decoder.widths": (3,)},
}
VALUES = {  # other than the default, of each choice
  "loss.likelihood": "sigma",
  "loss.sigma": "learned",
  "loss.per_channel": True,
  "loss.mixture": 2,
  "loss.beta": 2.0,
  "loss.kl.warmup": 5,
  "loss.kl.cycles": 2,
  "loss.kl.free_bits": 0.5,
  "loss.kl.capacity": 3.0,
  "loss.objective": "tc",
  "loss.samples": 2,
  "loss.strength": 3.0,
  "loss.diagonal": 2.0,
  "loss.discriminator": (8, 8),
  "prior.name": "conditional",
  "prior.components": 3,
  "data.binarise": "dynamic",
}
# Choices on which no parameter depends, so that a state of others will do.
UNSHAPED = {
  key for key in VALUES if key.startswith("loss.kl.") or key == "loss.beta"
} | {"loss.mse", "loss.strength", "loss.diagonal", "data.binarise"}
# Other choices that these need.
BESIDE = {
  "loss.sigma": {"loss.likelihood": "sigma"},
  # Learned, as M2 and ADGM have no optimal one.
  "loss.per_channel": {"loss.likelihood": "sigma", "loss.sigma": "learned"},
  "loss.mixture": {"loss.likelihood": "logistic"},
  "loss.kl.cycles": {"loss.kl.warmup": 5},
  "loss.samples": {"loss.objective": "iwae"},
  "loss.strength": {"loss.objective": "mmd"},
  "loss.diagonal": {"loss.objective": "dip_i"},
  "loss.discriminator": {"loss.objective": "factor"},
  "prior.components": {"prior.name": "vamp"},
}
OPTIM = {
  "name": ("lion", {}),
  "schedule": ("cosine", {"steps": 9}),
  "steps": (9, {"schedule": "cosine"}),
  "final": (0.1, {"schedule": "cosine", "steps": 9}),
  "warmup": (3, {}),
  "momentum": (0.9, {"name": "sgd"}),
  "clip": (1.0, {}),
  "weight_decay": (0.1, {}),
  "accumulate": (2, {}),
}


def dressed(system, flat):
  """Return the config of a system's page with choices set, there or not."""
  config = configs.load(PAGES[system][0])
  with config.unlocked():
    for key, value in flat.items():
      group = config
      *path, last = key.split(".")
      for name in path:
        if not isinstance(group.get(name), ConfigDict):
          if name in group:  # a number, in dfc_vae
            del group[name]
          group[name] = ConfigDict()
        group = group[name]
      group[last] = value
  return config


def facts(system, colour=False):
  """Return what the data of a system's page know."""
  _, shape, conditions = PAGES[system]
  shape = COLOUR if colour and shape == SHAPE else shape
  columns = {"image": shape, "condition": (conditions,)}
  return Facts(columns, rows=90, attributes=(PLACE,))


@functools.cache
def read(system, beside):
  """Return the dotted keys that a system reads while it is made."""
  config = dressed(system, dict(beside))
  groups = {id(config): ""}
  for key in ("loss", "prior", "optim", "data"):
    groups[id(config.get(key))] = f"{key}."
  groups[id(config.get("loss", {}).get("kl"))] = "loss.kl."
  found = set()
  get = ConfigDict.__getitem__

  def recorded(self, key):
    if id(self) in groups:
      found.add(groups[id(self)] + key)
    return get(self, key)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(ConfigDict, "__getitem__", recorded)
    configs.resolve(config, facts(system))
  return found


@functools.cache
def program(system, beside):
  """Return the losses of a system's players as text, or why it is refused.

  What does not enter a loss is left out of its program.
  """
  config = dressed(system, TINY.get(system, {}) | dict(beside))
  players = {}
  make_step = update.make_step
  with pytest.MonkeyPatch.context() as patch, ops.trace_plain():
    patch.setattr(
      update, "make_step", lambda p, **how: players.update(p) or make_step(p)
    )
    try:
      found = configs.resolve(config, facts(system, colour=True))
    except ValueError as error:
      return f"refused: {error}"
    state = begun(system, tuple(i for i in beside if i[0] not in UNSHAPED))
    batch = {
      column: jax.ShapeDtypeStruct((2, *size), "uint8" if size else "int32")
      for column, size in found.columns.items()
    }
    given = (state.params, state.model_state, batch, KEY, np.int32(0))
    return "\n".join(
      _live(lambda *a, loss=player.loss: loss(*a)[0], given)
      for player in players.values()
    )


@functools.cache
def begun(system, beside):
  """Return the shapes of a system's first state."""
  config = dressed(system, TINY.get(system, {}) | dict(beside))
  found = configs.resolve(config, facts(system, colour=True))
  return jax.eval_shape(found.init, KEY)


def _live(function, given):
  traced = jax.make_jaxpr(function)(*given)
  return str(partial_eval.dce_jaxpr(traced.jaxpr, [True])[0])


def test_every_choice_and_every_system_is_looked_at():
  leaves = dict(settings.leaves(defaults.GROUPS))
  others = {f"optim.{key}" for key in OPTIM} | {"optim.ema", "loss.mse"}
  assert leaves.keys() | {"data.binarise"} == VALUES.keys() | others
  assert set(configs.systems()) == PAGES.keys() == set(defaults.OWN)


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize("system", PAGES)
def test_a_choice_changes_the_loss_of_its_systems_and_others_refuse_it(
  system, key
):
  users = defaults.SYSTEMS[key]
  flat = {**BESIDE.get(key, {}), key: VALUES[key]}
  config = dressed(system, flat)
  if system not in users:
    with pytest.raises(configs.ConfigError) as refused:
      settings.check(config)
    line = str(refused.value)
    assert "\n" not in line
    assert f"the system {system} does not use it" in line
    assert line.endswith(", ".join(users))
    return
  settings.check(config)
  if system in ("adgm", "m2") and key == "loss.likelihood":
    flat["loss.sigma"] = "learned"
  without = program(system, tuple(BESIDE.get(key, {}).items()))
  assert program(system, tuple(flat.items())) != without, f"ignores {key}"


@pytest.mark.parametrize("system", defaults.SYSTEMS["loss.likelihood"])
def test_the_weight_of_a_squared_error_changes_the_loss(system):
  gaussian = ("loss.likelihood", "gaussian")
  losses = {program(system, (gaussian, ("loss.mse", w))) for w in (2.0, 3.0)}
  assert len(losses) == 2


@pytest.mark.parametrize("key", [*OPTIM, "ema"])
@pytest.mark.parametrize("system", PAGES)
def test_every_system_has_every_choice_of_an_optimiser(system, key):
  value, beside = OPTIM.get(key, (0.9, {}))
  flat = {f"optim.{k}": v for k, v in {**beside, key: value}.items()}
  config = dressed(system, flat)
  settings.check(config)
  assert config.optim[key] == value
  assert f"optim.{key}" in read(system, tuple(flat.items()))


@pytest.mark.parametrize("system", PAGES)
def test_each_player_of_a_system_moves_by_the_optimiser_of_its_config(system):
  built = []
  players = {}
  build = optim.build
  make_step = update.make_step
  config = dressed(system, {})

  def record(group, *rate, **how):
    assert group is config.optim
    built.append(build(group, *rate, **how))
    return built[-1]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(optim, "build", record)
    patch.setattr(
      update, "make_step", lambda p, **how: players.update(p) or make_step(p)
    )
    configs.resolve(config, facts(system))
  assert [player.tx for player in players.values()] == built


@pytest.mark.parametrize(
  ("page", "changes", "needed"),
  [
    ("zoo", {"loss.mixture": 2}, "loss.likelihood=logistic"),
    ("digits", {"loss.sigma": "learned"}, "loss.likelihood=sigma"),
    ("faces", {"loss.per_channel": True}, "loss.likelihood=sigma"),
    ("zoo:m2", {"loss.mse": 3.0}, "loss.likelihood=gaussian"),
    ("zoo", {"loss.mse": 3.0}, "loss.likelihood=gaussian"),
    ("zoo_faces:dfc_vae", {"loss.mse": 3.0}, "loss.likelihood=gaussian"),
    ("digits", {"prior.components": 3}, "prior.name=mixture or vamp"),
    ("digits", {"optim.steps": 5}, "optim.schedule=cosine"),
    ("compare:gan", {"data.binarise": "dynamic"}, "has no key"),
    (
      "zoo:m1m2",
      {"data.binarise": "dynamic"},
      "while model.features.latents is 50; leave it out",
    ),
    ("zoo", {"optim.momentum": 0.5}, "optim.name=muon or rmsprop or sgd"),
    ("compare:ae", {"loss.beta": 2.0}, "model.variational=True"),
    ("compare:ae", {"loss.kl.free_bits": 1.0}, "model.variational=True"),
  ],
)
def test_a_choice_that_needs_another_says_which(page, changes, needed):
  with pytest.raises(configs.ConfigError, match=needed):
    configs.load(page, changes)


@pytest.mark.parametrize(
  ("page", "key", "beside", "remedy"),
  [
    ("digits", "loss.mse", {"loss.likelihood": "sigma"}, "gaussian, or"),
    ("colour", "loss.mse", {"loss.likelihood": "sigma"}, "gaussian, or"),
    (
      "zoo_faces:dfc_vae,layers=pixel",
      "loss.pixel",
      {"loss.likelihood": "logistic"},
      "gaussian, or",
    ),
    ("compare:vae", "optim.b1", {"optim.name": "sgd"}, "yogi, or"),
    ("zoo", "optim.eps", {"optim.name": "lion"}, "rmsprop, or"),
    ("zoo:m2", "loss.alpha", {"loss.soft": True}, "False, or"),
    ("zoo:m2", "data.label_seed", {"data.labels": 0}, "1 or more, or"),
    ("zoo:aae", "model.noise_level", {"model.noise": ""}, "dropout, or"),
    (
      "compare:gan",
      "loss.label_smoothing",
      {"loss.kind": "wasserstein"},
      "logistic, or",
    ),
  ],
)
def test_a_key_set_by_hand_is_refused_where_a_page_s_own_value_is_idle(
  page, key, beside, remedy
):
  value = 3 if key == "data.label_seed" else 0.25
  configs.load(page, beside)  # what the page sets for its own choices stays
  with pytest.raises(configs.ConfigError, match=f"{key}=.*{remedy} leave it"):
    configs.load(page, {key: value, **beside})
  used = {"model.noise": "dropout"} if key == "model.noise_level" else {}
  configs.load(page, {key: value, **used})


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("early_stop.restore", True),
    ("early_stop.patience", 3),
    ("plateau.patience", 3),
  ],
)
def test_a_rule_without_a_metric_to_watch_is_refused(key, value):
  rule = key.partition(".")[0]
  said = rf"{key}={value} has no use while {rule}.metric is ''"
  with pytest.raises(configs.ConfigError, match=said):
    configs.load("zoo:vae", {key: value})
  configs.load("zoo:vae", {key: value, f"{rule}.metric": "loss"})


@pytest.mark.parametrize(
  ("page", "key"),
  [
    ("zoo:aae", "model.encoder.dropout"),
    ("zoo:ssaae", "model.decoder.dropout"),
    ("zoo:ssaae", "model.style_discriminator.dropout"),
    ("zoo:ilaae", "model.discriminator.input_dropout"),
    ("zoo:m1m2", "model.features.encoder.dropout"),
  ],
)
def test_a_dropout_that_a_system_never_makes_is_refused(page, key):
  with pytest.raises(configs.ConfigError, match=r"not use it; leave it at 0$"):
    configs.load(page, {key: 0.1})


@pytest.mark.parametrize(
  ("page", "key", "value", "said"),
  [
    ("colour", "data.path", "data/mine", "'packages'; set .*=prepared, or"),
    ("faces:smoke", "data.path", "data/mine", "'synthetic'; set .*=prepared,"),
    ("compare:gan,smoke", "data.train_rows", 9, "set data.source=prepared,"),
    ("faces", "data.count", 9, "set data.source=synthetic,"),
    ("zoo:scvae", "data.ink", "global", "set data.condition="),
    ("zoo_faces:dfc_vae,layers=pixel", "loss.weight", 2.0, r"is \(\); leave"),
  ],
)
def test_data_and_features_that_are_not_read_are_refused(
  page, key, value, said
):
  with pytest.raises(configs.ConfigError, match=f"{key}=.* has no use.*{said}"):
    configs.load(page, {key: value})


def test_a_path_of_digits_counts_beside_any_source():
  assert configs.load("digits:smoke", {"data.path": "x"}).data.path == "x"


def test_another_s_data_may_have_keys_of_any_meaning():
  config = configs.load("zoo:m2")
  config.data.name = "mine.digits"
  config.data.labels = 0
  settings.check(config, given=["data.label_seed"])


def test_the_keys_of_an_optimiser_are_those_that_it_has():
  own = {"muon": matrices.muon, "shampoo": matrices.shampoo}
  parameters = {
    name: inspect.signature(own.get(name) or getattr(optax, name)).parameters
    for name in optim.NAMES
  }
  tables = dict.fromkeys(("b1", "b2", "eps"), defaults.BY_HAND)
  for key, table in (tables | {"momentum": defaults.NEEDS}).items():
    has = {name for name, known in parameters.items() if key in known}
    assert set(table[f"optim.{key}"][1]) == has


def test_an_m1_s_pixels_are_its_own_and_no_other_likelihood_passes_for_them():
  with pytest.raises(ValueError, match="=continuous_bernoulli"):
    configs.resolve(
      configs.load("zoo:m1m2", {"loss.likelihood": "continuous_bernoulli"})
    )


@pytest.mark.parametrize("name", likelihoods.NAMES)
def test_a_vae_s_note_names_its_likelihood(name):
  config = configs.load("zoo", {"loss.likelihood": name})
  kind = "".join(word.title() for word in name.split("_"))
  assert f" {kind} pixels" in configs.resolve(config).notes[0]


def test_two_weights_of_one_squared_error_are_refused():
  config = dressed(
    "dfc_vae",
    {"loss.likelihood": "gaussian", "loss.pixel": 2.0, "loss.mse": 3.0},
  )
  with pytest.raises(ValueError, match=r"found loss.mse=3 beside it"):
    configs.resolve(config, Facts({"image": FACE}))


def test_a_system_whose_page_lacks_a_choice_says_who_has_it():
  with pytest.raises(configs.ConfigError, match=r"prior\.name: cvae, vae$"):
    configs.load("zoo:m3", {"prior.name": "vamp"})


def test_momentum_is_refused_where_the_optimiser_has_none():
  with pytest.raises(ValueError, match=r"no use with optim\.name=adam; .* sgd"):
    optim.build(ConfigDict(configs.optimiser(lr=1.0, momentum=0.9)))


def test_values_drawn_once_are_of_every_system():
  config = configs.load("zoo:aae", {"data.binarise": "static"})
  assert config.data.binarise == "static"


@pytest.mark.parametrize("system", ["cvae", "vae"])
def test_the_page_of_own_images_has_the_choices_of_the_others(system):
  config = configs.load(
    f"images:system={system}", {"prior.name": "vamp", "prior.components": 3}
  )
  assert config.prior.components == 3


def test_a_system_of_one_s_own_may_use_any_choice():
  config = dressed("cvae", {"loss.objective": "iwae"})
  config.system = "mine"
  settings.check(config)
  config.system = "cvae"
  settings.check(config, used=False)  # another is handed over instead
  with pytest.raises(configs.ConfigError):
    settings.check(dressed("aae", {"loss.objective": "iwae"}))
