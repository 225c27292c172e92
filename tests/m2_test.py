"""M2 and M1+M2: their bounds and losses in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.nets.mlp import MLP
from cvae_jax.systems import m2
from cvae_jax.types import Facts, Place
from tests import arithmetic as a, small_zoo as zoo

FACTS = Facts({"image": (28, 28, 1), "condition": (10,)})
CLASS = Place("class", "class", "class", tuple(range(10)), None)
INK = Place("ink", "number", "number", (10,), None)
UNIT = {False: a.softplus, True: a.relu}  # of M2, on an M1 or not


@pytest.mark.parametrize("name", ["zoo:m2,labels=100", "adgm:labels=100"])
def test_weights_that_are_not_the_shares_of_the_data_are_named(name):
  """A page computes them for its own digits; a path may bring others."""
  config = configs.load(name)
  for rows, count in ((4500, 0), (None, 0), (2000, 1)):
    system = configs.resolve(config, FACTS._replace(rows=rows))
    said = [line for line in system.notes if "100 of 2,000" in line]
    assert len(said) == count
    assert len(system.notes) == 1 + count


@pytest.mark.parametrize("name", ["zoo:m2", "zoo:m1m2", "adgm"])
def test_a_weight_of_labelled_digits_without_labels_is_named(name):
  config = configs.load(name, {"data.labels": 0})
  system = configs.resolve(config, FACTS._replace(rows=4500))
  assert "0 of 4,500 training examples are labelled" in system.notes[-1]
  assert "--config.loss.labelled=0 " in system.notes[-1]


def test_a_page_without_labels_weighs_none():
  config = configs.load("zoo:m2,labels=0")
  assert len(configs.resolve(config, FACTS._replace(rows=4500)).notes) == 1


@pytest.mark.parametrize(
  ("size", "places", "message"),
  [
    (0, (), "of nothing"),
    (11, (CLASS, INK), "11 entries, of class, ink"),
    (11, (CLASS._replace(bit=10),), "class may be unknown here"),
  ],
)
@pytest.mark.parametrize(
  ("name", "what"), [("m2", "few labels are"), ("m3", "m3's categories are")]
)
def test_a_condition_that_is_not_one_known_class_is_refused(
  name, what, size, places, message
):
  config = configs.load(f"zoo:{name}")
  columns = {"image": (28, 28, 1), "condition": (size,)}
  with pytest.raises(ValueError, match=f"{what} of one class.*{message}"):
    configs.resolve(config, Facts(columns, 100, places))


def test_m2_takes_data_that_have_no_choice_of_labels():
  """As arrays that are handed in; their labelled images are the caller's."""
  config = configs.load("zoo:m2")
  with config.unlocked():
    del config.data.labels
  assert not configs.resolve(config, FACTS).unlabelled


def m2_bounds(params, x, y, m1=False):
  """Return L(x, y) of one label, in NumPy, z being its mean."""
  mean, logvar = a.mlp(
    np.hstack([x, y]), params["inference"], UNIT[m1], "mean", "logvar"
  )
  inputs = np.hstack([mean, y])
  heads = ("mean", "logvar")
  if not m1:
    (logits,) = a.mlp(inputs, params["generator"], UNIT[m1], "logits")
    nats = a.bernoulli(x, logits)
  else:
    centre, spread = a.mlp(inputs, params["generator"], UNIT[m1], *heads)
    nats = np.log(2 * np.pi) + spread + (x - centre) ** 2 / np.exp(spread)
    nats = 0.5 * nats.sum(-1)
  return nats + a.kl(mean, logvar) + np.log(10)


def marginal(params, x, m1=False):
  """Return U(x) = Σ q(y|x) L(x, y) − H(q(y|x)), a label at a time."""
  q = a.softmax(a.mlp(x, params["classifier"], UNIT[m1], "logits")[0])
  total = np.zeros(len(x))
  for label in range(10):
    y = np.tile(np.eye(10)[label], (len(x), 1))
    total += q[:, label] * m2_bounds(params, x, y, m1)
  return total + (q * np.log(q)).sum(-1)


@functools.cache
def m2_case(name):
  """Return a small M2 without noise, its state and its data in NumPy."""
  system = zoo.made(
    name,
    loss__binarise=False,
    model__classifier__dropout=0.0,
    model__classifier__input_dropout=0.0,
  )
  state = zoo.noiseless(system.state, "inference")
  if name == "m1m2":
    state = zoo.noiseless(state, "encoder")
  params = zoo.float64(state.params)
  xs = {}
  for column in ("image", "labelled_image"):
    xs[column] = zoo.flat(zoo.batch()[column])
    if name.startswith("m1m2"):
      (xs[column],) = a.mlp(xs[column], params["encoder"], a.relu, "mean")
  return system, state, params, xs


@pytest.mark.parametrize("name", ["m2", "m1m2"])
def test_m2_sums_over_every_label_of_an_unlabelled_digit(name):
  system, state, params, xs = m2_case(name)
  terms = system.evaluate(state, zoo.batch(), zoo.KEY)
  expected = marginal(params, xs["image"], name == "m1m2")
  np.testing.assert_allclose(terms["unlabelled"], expected, rtol=1e-5)


def test_m2_s_labels_share_their_noise():
  system = zoo.made("m2")
  model = m2.build(system.config, FACTS)
  image = zoo.flat(zoo.batch()["image"])
  y = np.eye(10, dtype=np.float32)
  params = dict(system.state.params)
  # An inference that sees no label: then L(x, y) differ by the decoder alone.
  params["inference"] = jax.tree.map(np.copy, params["inference"])
  params["inference"]["dense_0"]["kernel"][-10:] = 0.0
  params["generator"] = jax.tree.map(np.copy, params["generator"])
  params["generator"]["dense_0"]["kernel"][-10:] = 0.0
  x = image[:, None].astype(np.float32)
  bounds = model.bound(params, x, y[None], zoo.KEY)
  np.testing.assert_allclose(bounds, np.tile(bounds[:, :1], 10), rtol=1e-5)


@pytest.mark.parametrize("name", ["m2", "m1m2"])
def test_m2_s_loss_weighs_labelled_unlabelled_and_classifier(name):
  system, state, params, xs = m2_case(name)
  m1 = name == "m1m2"
  y = zoo.batch()["condition"].astype(np.float64)
  x = xs["labelled_image"]
  labelled = m2_bounds(params, x, y, m1)
  q = a.softmax(a.mlp(x, params["classifier"], UNIT[m1], "logits")[0])
  entropy = -np.log(q[np.arange(zoo.BATCH), zoo.batch()["label"]])
  kernels = [
    layer["kernel"]
    for branch in ("classifier", "inference", "generator")
    for layer in params[branch].values()
  ]
  expected = (
    (1 - 100 / 4500) * marginal(params, xs["image"], m1).mean()
    + 100 / 4500 * labelled.mean()
    + 3.0 * entropy.mean()
    + 0.5 / 4500 * sum((kernel**2).sum() for kernel in kernels)
  )
  loss, terms = system.loss(state)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  np.testing.assert_allclose(terms["cross_entropy"], entropy.mean(), rtol=1e-5)
  wrong = q.argmax(-1) != zoo.batch()["label"]
  terms = system.evaluate(state, zoo.batch(), zoo.KEY)
  np.testing.assert_array_equal(terms["error"], wrong)


def test_m2_s_classifier_comes_to_learn_from_the_unlabelled():
  system, state, *_ = m2_case("m2")
  model = m2.build(system.config, FACTS)

  @jax.jit
  def gradients(step):
    def loss(params):
      batch = zoo.batch()
      return m2._loss(model, params, {}, batch, zoo.KEY, step)[0]

    return jax.grad(loss)(state.params)

  def labels_alone(params):
    x = model.data(params, zoo.batch()["labelled_image"])
    logits = model.nets.classify(params, x)
    picked = jax.nn.log_softmax(logits) * zoo.batch()["condition"]
    return -3.0 * picked.sum(-1).mean() + m2._l2(model, params)

  warm_up = system.config.loss.warm_up
  start, half, full = (gradients(warm_up * share) for share in (0.0, 0.5, 1.0))
  halves = jax.tree.map(lambda a, b: (a + b) / 2, start, full)
  later = gradients(2 * warm_up)
  expected = jax.jit(jax.grad(labels_alone))(state.params)["classifier"]
  close = functools.partial(
    jax.tree.map, functools.partial(np.testing.assert_allclose, atol=1e-5)
  )
  close(start["classifier"], expected)
  close(half, halves)
  close(later, full)
  moved = (
    full["classifier"]["logits"]["kernel"]
    - start["classifier"]["logits"]["kernel"]
  )
  assert np.abs(moved).max() > 1e-3
  for name in ("inference", "generator"):
    close(start[name], full[name])


def test_input_dropout_zeroes_x_and_not_the_condition():
  net = MLP(widths=(), heads={"y": 3}, input_dropout=0.5)
  kernel = jnp.eye(3)[1::-1]  # y[1] is read from x, y[0] from the condition
  params = {"params": {"y": {"kernel": kernel, "bias": jnp.zeros(3)}}}
  x = jnp.ones((500, 1))
  condition = jnp.ones((500, 1))
  y = net.apply(params, x, condition, zoo.KEY)["y"]
  np.testing.assert_array_equal(y[:, 0], 1.0)
  assert set(np.unique(y[:, 1])) == {0.0, 2.0}
  np.testing.assert_array_equal(net.apply(params, x, condition)["y"][:, 1], 1.0)


def test_m1m2_bounds_the_pixels_by_both_models():
  system, state, params, xs = m2_case("m1m2")
  (logits,) = a.mlp(xs["image"], params["decoder"], a.relu, "logits")
  # log q(z₁ | x) at its mean, by its log-variance
  logvar = params["encoder"]["logvar"]["bias"]
  density = -0.5 * (logvar + np.log(2 * np.pi)).sum()
  expected = -marginal(params, xs["image"], True)
  expected -= a.bernoulli(zoo.flat(zoo.batch()["image"]), logits) + density
  terms = system.evaluate(state, zoo.batch(), zoo.KEY)
  np.testing.assert_allclose(terms["elbo"], expected, rtol=1e-5)


def test_latents_that_m1_does_not_read_are_left_out():
  system, state, params, xs = m2_case("m1m2")
  decoder = dict(state.params["decoder"])
  kernel = decoder["dense_0"]["kernel"] * [[1], [1e-3], [1]]
  decoder["dense_0"] = decoder["dense_0"] | {"kernel": kernel}
  deaf = state.replace(params={**state.params, "decoder": decoder})
  x = xs["image"] * [1, 0, 1]
  mean, _ = a.mlp(
    np.hstack([x, zoo.batch()["condition"]]),
    params["inference"],
    a.relu,
    "mean",
    "logvar",
  )
  image = zoo.batch()["image"].astype(np.float32) / 255
  q = system.system.encode(deaf, image, zoo.batch()["condition"])
  np.testing.assert_allclose(q.mean, mean, rtol=1e-5, atol=1e-7)
  before = system.evaluate(state, zoo.batch(), zoo.KEY)["unlabelled"]
  after = system.evaluate(deaf, zoo.batch(), zoo.KEY)["unlabelled"]
  assert abs(np.asarray(before) - np.asarray(after)).min() > 0.1


def test_the_source_s_m2_sees_a_fixed_soft_code():
  system = zoo.made("m2,faithful")
  assert system.system.unlabelled
  assert not zoo.made("m2").system.unlabelled
  state = zoo.noiseless(system.state, "inference")
  params = zoo.float64(state.params)
  x = zoo.flat(zoo.batch()["image"])
  y = a.softmax(a.mlp(x, params["classifier"], a.relu, "logits")[0])
  mean, logvar = a.mlp(
    np.hstack([x, y]), params["inference"], a.relu, "mean", "logvar"
  )
  (logits,) = a.mlp(np.hstack([mean, y]), params["generator"], a.relu, "logits")
  expected = (a.bernoulli(x, logits) + a.kl(mean, logvar)).mean()
  np.testing.assert_allclose(system.loss(state)[0], expected, rtol=1e-5)
