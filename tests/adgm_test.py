"""ADGM and SDGM: their bounds and loss in NumPy."""

import functools

import jax
import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.method import losses
from cvae_jax.systems import adgm
from cvae_jax.systems.models.adgm import build
from cvae_jax.types import Facts
from tests import arithmetic as a
from tests.small_zoo import KEY, batch, flat, float64, noiseless

FACTS = Facts({"image": (28, 28, 1), "condition": (10,)})
BRANCHES = ("auxiliary", "classifier", "inference", "partner", "generator")
LATENTS = 3
AUXILIARIES = 2


@functools.cache
def case(skip):
  """Return a small system, its state without noise and float64 parameters."""
  changes = {f"model.{name}.widths": (5, 4) for name in BRANCHES}
  config = configs.load(
    "adgm:skip" if skip else "adgm",
    changes
    | {
      "model.latents": LATENTS,
      "model.auxiliaries": AUXILIARIES,
      "model.distortion": 0.0,
      "model.shift": 0.0,
      "model.classifier.dropout": 0.0,
      "model.classifier.input_dropout": 0.0,
      "data.binarise": "",
      "loss.agreement": 0.0,
      "optim.ema": 0.0,
    },
  )
  system = configs.resolve(config)
  rng = np.random.default_rng(0)
  state = jax.eval_shape(system.init, KEY)
  params = jax.tree.map(
    lambda p: rng.normal(0, 0.3, p.shape).astype(np.float32), state.params
  )
  # A small auxiliary posterior: its entropy is no large number.
  state = jax.jit(system.init)(KEY).replace(params=params)
  for branch in ("auxiliary", "inference"):
    state = noiseless(state, branch)
  return config, system, state, float64(state.params)


def gauss(inputs, layers):
  return a.mlp(np.hstack(inputs), layers, a.relu, "mean", "logvar")


def bound(params, x, y, skip):
  """Return L(x, y) of one label, a and z being their means."""
  aux, spread = gauss([x], params["auxiliary"])
  z, logvar = gauss([x, aux, y], params["inference"])
  inputs = [z, y] if skip else [x, y, z]
  center, width = gauss(inputs, params["partner"])
  inputs = [y, z, aux] if skip else [z, y]
  logits = a.mlp(np.hstack(inputs), params["generator"], a.relu, "logits")[0]
  nats = a.bernoulli(x, logits)
  log_p = -0.5 * (
    np.log(2 * np.pi) + width + (aux - center) ** 2 / np.exp(width)
  ).sum(-1)
  log_q = -0.5 * (np.log(2 * np.pi) + 1 + spread).sum(-1)
  return nats + a.kl(z, logvar) + log_q - log_p + np.log(10)


def logits_of(params, x):
  aux, _ = gauss([x], params["auxiliary"])
  inputs = np.hstack([x, aux])
  return a.mlp(inputs, params["classifier"], a.relu, "logits")[0]


def marginal(params, x, skip):
  q = a.softmax(logits_of(params, x))
  total = np.zeros(len(x))
  for label in range(10):
    y = np.tile(np.eye(10)[label], (len(x), 1))
    total += q[:, label] * bound(params, x, y, skip)
  return total + (q * np.log(q)).sum(-1)


@pytest.mark.parametrize("skip", [False, True])
def test_the_bounds_are_those_of_maaloe(skip):
  _, system, state, params = case(skip)
  terms = jax.jit(system.evaluate)(state, batch(), KEY)
  x, labelled = (flat(batch()[n]) for n in ("image", "labelled_image"))
  y = batch()["condition"].astype(np.float64)
  np.testing.assert_allclose(
    terms["unlabelled"], marginal(params, x, skip), rtol=2e-5
  )
  np.testing.assert_allclose(
    terms["labelled"], bound(params, labelled, y, skip), rtol=2e-5
  )
  np.testing.assert_allclose(terms["elbo"], -terms["unlabelled"])
  guess = logits_of(params, labelled).argmax(-1)
  np.testing.assert_array_equal(terms["error"], guess != batch()["label"])


@pytest.mark.parametrize("skip", [False, True])
def test_the_loss_weighs_labelled_unlabelled_and_classifier(skip):
  config, system, state, params = case(skip)
  _, terms = jax.jit(system.step)(state, batch(), KEY, np.int32(0))
  x, labelled = (flat(batch()[n]) for n in ("image", "labelled_image"))
  y = batch()["condition"].astype(np.float64)
  q = a.softmax(logits_of(params, labelled))
  kernels = sum(
    (layer["kernel"] ** 2).sum()
    for branch in BRANCHES
    for layer in params[branch].values()
  )
  share = 100 / 4500
  assert config.loss.labelled == pytest.approx(share)
  expected = (
    (1 - share) * marginal(params, x, skip).mean()
    + share * bound(params, labelled, y, skip).mean()
    - 3.0 * np.log((q * y).sum(-1)).mean()
    + 0.5 / 4500 * kernels
  )
  np.testing.assert_allclose(terms["model/loss"], expected, rtol=2e-5)


@pytest.mark.parametrize("skip", [False, True])
def test_it_encodes_decodes_and_classifies_by_means_of_the_auxiliary(skip):
  _, system, state, params = case(skip)
  image = batch()["labelled_image"]
  y = batch()["condition"]
  x = flat(image)
  aux, _ = gauss([x], params["auxiliary"])
  z, _ = gauss([x, aux, y], params["inference"])
  found = jax.jit(system.encode)(state, image, y)
  np.testing.assert_allclose(found.mean, z, rtol=1e-4, atol=1e-5)
  inputs = [z, y]
  if skip:
    inputs = [y, z, gauss([z, y], params["partner"])[0]]
  logits = a.mlp(np.hstack(inputs), params["generator"], a.relu, "logits")[0]
  drawn = jax.jit(system.decode)(state, z.astype(np.float32), y)
  np.testing.assert_allclose(
    drawn.reshape(len(x), -1), a.sigmoid(logits), rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(
    jax.jit(system.classify)(state, image), logits_of(params, x), rtol=1e-4
  )
  assert (system.nats is None) == skip


def test_the_classifier_comes_to_learn_from_the_unlabelled():
  config, _, state, _ = case(False)
  model = build(config, FACTS)._replace(warm_up=10)

  @jax.jit
  def gradients(step):
    def loss(params):
      return adgm._loss(model, params, {}, batch(), KEY, step)[0]

    return jax.grad(loss)(state.params)

  def labels_alone(params):
    x = jax.numpy.asarray(flat(batch()["labelled_image"]), np.float32)
    inputs = x, model.nets.encode_auxiliary(params, x).mean
    logits = model.nets.classify(params, *inputs)
    picked = jax.nn.log_softmax(logits) * batch()["condition"]
    kernels = [params[name] for name in BRANCHES]
    return -3.0 * picked.sum(-1).mean() + losses.dense_l2(kernels, model.l2)

  start, half, full, later = (gradients(step) for step in (0, 5, 10, 20))
  expected = jax.jit(jax.grad(labels_alone))(state.params)["classifier"]
  close = functools.partial(
    jax.tree.map, functools.partial(np.testing.assert_allclose, atol=1e-5)
  )
  close(start["classifier"], expected)
  close(half, jax.tree.map(lambda a, b: (a + b) / 2, start, full))
  close(later, full)
  for name in ("inference", "partner", "generator"):
    close(start[name], full[name])


def test_a_digit_and_its_distorted_one_come_to_agree():
  config, _, state, params = case(False)
  model = build(config, FACTS)
  model = model._replace(warm_up=0, distortion=0.2, shift=1.0)
  agreed = model._replace(agreement=7.0)

  def run(model):
    loss = jax.jit(functools.partial(adgm._loss, model))
    return loss(state.params, {}, batch(), KEY, 0)

  without, _ = run(model)
  total, (terms, _) = run(agreed)
  distorted = agreed.distort(batch(), jax.random.fold_in(KEY, 3))["image"]
  x, moved = flat(batch()["image"]), np.asarray(distorted, np.float64)
  q = a.softmax(logits_of(params, x))
  changed = a.softmax(logits_of(params, moved.reshape(len(x), -1)))
  expected = (q * np.log(q / changed)).sum(-1).mean()
  assert expected > 0.001
  np.testing.assert_allclose(terms["disagreement"], expected, rtol=1e-3)
  np.testing.assert_allclose(total - without, 7.0 * expected, rtol=2e-2)


@pytest.mark.parametrize("change", [{"distortion": 0.2}, {"shift": 2.0}])
def test_images_are_distorted_in_training_alone(change):
  config, _, state, _ = case(False)
  model = build(config, FACTS)
  moving = model._replace(**change)

  def terms(model):
    run = jax.jit(functools.partial(adgm._loss, model))
    return run(state.params, {}, batch(), KEY, 0)[1][0]

  still, moved = terms(model), terms(moving)
  for name in ("unlabelled", "labelled", "cross_entropy"):
    assert abs(still[name] - moved[name]) > 1e-4 * still[name]
  tested = (
    jax.jit(functools.partial(adgm._evaluate, m))(state, batch(), KEY)
    for m in (model, moving)
  )
  jax.tree.map(np.testing.assert_array_equal, *tested)
