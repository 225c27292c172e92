"""Attribute models: parameter counts, and values against NumPy."""

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, data, train, types
from cvae_jax.config import ConfigError
from cvae_jax.loop import job, keys
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import name_arrays

PARAMETERS = {
  "gender": 4_100_898,
  "hair": 2_101_857,
  "mouth": 1_446_497,
  "eyes": 985_073,
  "background_mean": 2_101_857,
  "background_std": 8_356_963,
}
KERNEL = ("kernel", "bias")
FUNCTIONS = ("evaluate", "predict")
TINY = {
  "data.image_shape": (20, 20, 3),
  "data.count": 200,
  "model.features": (3, 4),
  "model.pool_after": (0,),
  "model.dense": (6, 5),
  "batch_size": 32,
}


def tiny(name, **changes):
  changes = {key.replace("__", "."): value for key, value in changes.items()}
  crop = {"model.crop": (4, 20, 2, 16)} if name != "gender" else {}
  return configs.load(
    f"configs/attributes.py:{name},smoke", TINY | crop | changes
  )


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"columns.target": (7,)}, r"columns.target is \(7,\); .* of 0 to 4"),
    ({"columns.given": (-1,)}, r"columns.given is \(-1,\)"),
    ({"columns.target": ()}, "expected 1 or more"),
  ],
)
def test_columns_that_a_condition_does_not_have_are_refused(change, message):
  config = configs.load("configs/attributes.py:hair,smoke", change)
  with pytest.raises(ValueError, match=message):
    configs.resolve(config)


def test_a_binary_loss_of_classes_is_refused():
  config = configs.load("attributes:gender,smoke", {"loss.binary": True})
  with pytest.raises(ValueError, match=r"found columns.target=\(0, 1\)"):
    configs.resolve(config)


def started(config):
  """Return (system, compiled, and its first state)."""
  system = configs.resolve(config)
  compiled = {name: jax.jit(getattr(system, name)) for name in FUNCTIONS}
  state = jax.jit(system.init)(keys.address(0, "init"))
  return system._replace(**compiled), state


def batch(count=8, seed=0):
  draw = np.random.default_rng(seed)
  image = draw.integers(0, 256, (count, 20, 20, 3)).astype(np.uint8)
  condition = draw.random((count, 5)).astype(np.float32)
  condition[:, 1] = 1 - condition[:, 0]
  return {"image": image, "condition": condition}


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_model_has_the_sources_parameters(name):
  system = configs.resolve(configs.load(f"configs/attributes.py:{name}"))
  state = jax.eval_shape(system.init, jax.random.key(0))
  leaves = jax.tree.leaves(state.params)
  assert sum(leaf.size for leaf in leaves) == PARAMETERS[name]


@pytest.mark.parametrize(
  ("name", "lr", "epochs", "stop", "plateau", "factor"),
  [
    ("gender", 1e-3, 15, 5, 2, 0.1),
    ("hair", 1e-3, 40, 5, 2, 0.1),
    ("mouth", 1e-3, 40, 5, 2, 0.1),
    ("eyes", 1e-3, 40, 7, 3, 0.1),
    ("background_mean", 1e-3, 40, 5, 2, 0.1),
    ("background_std", 4.8e-4, 40, 10, 2, 0.25),
  ],
)
def test_each_model_trains_as_the_source_says(
  name, lr, epochs, stop, plateau, factor
):
  config = configs.load(f"configs/attributes.py:{name},faithful")
  assert (config.optim.lr, config.optim.decay) == (lr, 1e-6)
  assert (config.epochs, config.batch_size) == (epochs, 32)
  watched = config.early_stop, config.plateau
  assert [rule.metric for rule in watched] == ["loss", "loss"]
  assert [rule.patience for rule in watched] == [stop, plateau]
  assert (config.plateau.factor, config.plateau.min_delta) == (factor, 1e-4)
  assert not config.early_stop.restore


def forward(params, image, given, crop):
  """The network of TINY in float64 NumPy."""
  top, bottom, left, right = crop
  x = image[:, top:bottom, left:right] / 255.0
  for i in range(2):
    kernel, bias = (np.float64(params[f"conv_{i}"][k]) for k in KERNEL)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    x = np.einsum("bhwcij,ijcd->bhwd", windows, kernel) + bias[None, None, None]
    x = np.maximum(x, 0)
    if i == 0:
      b, h, w, c = x.shape
      x = x[:, : h // 2 * 2, : w // 2 * 2]
      x = x.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))
  x = x.reshape(len(x), -1)
  for i in range(2):
    kernel, bias = (np.float64(params[f"dense_{i}"][k]) for k in KERNEL)
    x = x @ kernel + bias[None]
    x = np.where(x > 0, x, 0.06 * x)
    if i == 0 and given is not None:
      x = np.concatenate([x, given], axis=1)
  kernel, bias = (np.float64(params["logits"][k]) for k in KERNEL)
  return x @ kernel + bias[None]


def test_a_value_is_read_from_the_crop_beside_what_is_given():
  config = tiny("mouth")
  system, state = started(config)
  data = batch()
  given = data["condition"][:, :2]
  params = state.params["attribute"]
  logits = forward(params, data["image"], given, config.model.crop)
  value = 1 / (1 + np.exp(-logits))
  read = system.predict(state, data["image"] / np.float32(255), given)
  np.testing.assert_allclose(read, value, rtol=1e-4)
  terms = system.evaluate(state, data, None)
  target = data["condition"][:, 3:4].astype(np.float64)
  error = ((value - target) ** 2)[:, 0]
  l2 = sum(
    (np.float64(params[k]["kernel"]) ** 2).sum()
    for k in ("dense_0", "dense_1", "logits")
  )
  np.testing.assert_allclose(terms["squared_error"], error, rtol=1e-3)
  np.testing.assert_allclose(terms["loss"], error + 0.001 * l2, rtol=1e-3)
  assert system.classify is None


def test_the_class_loss_is_kerass_binary_cross_entropy():
  """Of the two softmax outputs against the table's two probabilities."""
  system, state = started(tiny("gender"))
  data = batch()
  params = state.params["attribute"]
  logits = forward(params, data["image"], None, (0, 20, 0, 20))
  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  y = data["condition"][:, :2].astype(np.float64)
  keras = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1)
  terms = system.evaluate(state, data, None)
  np.testing.assert_allclose(terms["cross_entropy"], keras, rtol=1e-4)
  right = p.argmax(1) == y.argmax(1)
  np.testing.assert_array_equal(terms["accuracy"], right)
  image = data["image"] / np.float32(255)
  none = np.zeros((8, 0), np.float32)
  np.testing.assert_allclose(system.predict(state, image, none), p, rtol=1e-4)


def test_pixels_outside_the_crop_are_not_seen():
  system, state = started(tiny("eyes"))
  data = batch()
  image = data["image"] / np.float32(255)
  given = data["condition"][:, :2]
  top = 4
  bottom = 20
  left = 2
  right = 16
  outside = np.random.default_rng(1).random(image.shape).astype(np.float32)
  outside[:, top:bottom, left:right] = image[:, top:bottom, left:right]
  read = system.predict(state, image, given)
  assert np.array_equal(read, system.predict(state, outside, given))
  assert not np.array_equal(read, system.predict(state, 1 - image, given))
  assert not np.array_equal(read, system.predict(state, image, 1 - given))


def test_a_smoke_run_learns_gender_from_drawn_faces(tmp_path):
  train.train_and_evaluate(tiny("gender", epochs=18, optim__lr=5e-3), tmp_path)
  rows = [row for row in read_metrics(tmp_path) if row["split"] == "epoch"]
  losses = [row["model/cross_entropy"] for row in rows]
  assert losses[-1] < 0.8 * losses[0]


def test_two_attributes_at_once_are_refused():
  with pytest.raises(ConfigError, match="one attribute at a time; found hair"):
    configs.load("configs/attributes.py:hair,eyes")


def test_any_column_has_a_judge_that_is_given_nothing():
  config = tiny("column=Bald,size=64")
  assert config.data.names == ("Bald",)
  system, state = started(config)
  seen = batch()["image"]
  read = system.predict(state, seen / 255.0, np.zeros((8, 0)))
  assert read.shape == (8, 1)
  asked = np.float32([[0], [1]] * 4)
  terms = system.evaluate(
    state, {"image": seen, "condition": asked}, jax.random.key(0)
  )
  nats = -np.log(np.where(asked, read, 1 - read))[:, 0]
  np.testing.assert_allclose(terms["cross_entropy"], nats, rtol=1e-5)
  assert (terms["loss"] > terms["cross_entropy"]).all()  # by the L2
  with pytest.raises(ConfigError, match=r"mouth crops faces of 120 .* size=64"):
    configs.load("configs/attributes.py:mouth,size=64")
  with pytest.raises(ConfigError, match=r"one attribute .* hair, Bald"):
    configs.load("configs/attributes.py:hair,column=Bald")


@pytest.mark.parametrize("target", [(0,), (0, 1)])
def test_rows_of_an_unknown_target_teach_and_count_nothing(target):
  """A condition of an unknown value is 0, which was learned as the value."""
  place = types.Place("a", "class", "softmax", target, 2)
  facts = types.Facts({"image": (20, 20, 3), "condition": (3,)}, 8, (place,))
  chosen = {"columns.target": target, "columns.given": ()}
  config = configs.load(
    "attributes:hair,smoke",
    TINY | chosen | {"model.given_after": (), "model.crop": ()},
  )
  system = configs.resolve(config, facts)
  state = system.init(jax.random.key(0))
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (8, 20, 20, 3), np.uint8)
  condition = np.float32([[1, 0, 1]] * 5 + [[0, 0, 0]] * 3)
  key = jax.random.key(1)

  def changed(images):
    given = {"image": images, "condition": condition}
    new, metrics = system.step(state, given, key, np.int32(0))
    return new.params, metrics, system.evaluate(state, given, key)

  params, metrics, found = changed(image)
  other = np.concatenate([image[:5], image[:3] // 2])
  again, _, _ = changed(other)
  jax.tree.map(np.testing.assert_array_equal, params, again)
  for name in {*found} - {"loss"}:
    value, known = found[name]
    np.testing.assert_array_equal(known, [1] * 5 + [0] * 3)
    assert (value[5:] == 0).all()
  name = "squared_error" if len(target) == 1 else "cross_entropy"
  assert metrics[f"model/{name}"] > 0
  if len(target) > 1:
    right = float(metrics["model/accuracy"] / metrics["model/accuracy/known"])
    assert right * 5 == pytest.approx(round(right * 5), abs=1e-5)


@pytest.mark.parametrize("kind", [None, "number"])
def test_a_value_beyond_what_the_system_says_is_refused(kind):
  """A number of a stated kind is from −1 to 1, and a sigmoid from 0."""
  images = np.zeros((40, 28, 28), np.uint8)
  dataset = data.from_arrays(
    images, {"ink": np.linspace(2, 9, 40)}, kinds={"ink": kind} if kind else {}
  )
  chosen = {"columns.target": (0,), "batch_size": 4}
  config = name_arrays(configs.load("classifier", chosen))
  if kind is None:
    job.prepare(config, dataset=dataset)
    return
  with pytest.raises(ConfigError, match=r"from -1 to 1 .* from 0 to 1: bring"):
    job.prepare(config, dataset=dataset)
