"""The semi-supervised AAE: its players' losses, what they see, its runs."""

import functools

import jax
import numpy as np
import pytest
from scipy import ndimage

from cvae_jax import config as configs, figures
from cvae_jax.data.files import companions
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.method import few_labels
from cvae_jax.nets import distortion
from cvae_jax.systems.models import ssaae
from cvae_jax.systems.ssaae import _classifier_loss
from cvae_jax.types import Facts, Place
from tests import arithmetic as a, small_zoo as zoo

FACTS = Facts({"image": (28, 28, 1), "condition": (10,)})
NAME = "ssaae,labels=50"
CALM = {f"model__{key}": 0.0 for key in ("noise_level", "distortion", "shift")}


@functools.cache
def case():
  """Return a small system without noise and its networks."""
  system = zoo.made(NAME, optim__ema=0.0, **CALM)
  return system, ssaae.build(system.config, FACTS)


@functools.cache
def step():
  return jax.jit(case()[0].system.step)


def encode(params, column):
  x = zoo.flat(zoo.batch()[column])
  return a.mlp(x, params["encoder"], a.relu, "logits", "code")


def judged(params, branch, x, real):
  (logit,) = a.mlp(x, params[branch], a.relu, "logit")
  return a.cross_entropy(logit[:, 0], real).mean()


def test_each_player_s_loss_is_the_paper_s():
  system, model = case()
  params = zoo.float64(system.state.params)
  logits, z = encode(params, "image")
  y = a.softmax(logits)
  drawn_y, drawn_z = model.draw(jax.random.split(zoo.KEY)[1], zoo.BATCH)
  pairs = (
    ("class_discriminator", y, np.asarray(drawn_y)),
    ("style_discriminator", z, np.asarray(drawn_z)),
  )
  pixels = np.hstack([z, y])
  (output,) = a.mlp(pixels, params["decoder"], a.relu, "logits")
  error = (zoo.flat(zoo.batch()["image"]) - a.sigmoid(output)) ** 2
  q = a.softmax(encode(params, "labelled_image")[0])
  picked = q[np.arange(zoo.BATCH), zoo.batch()["label"]]
  expected = {
    "autoencoder": system.config.loss.mse * error.sum(-1).mean(),
    "discriminators": sum(
      judged(params, branch, code, False) + judged(params, branch, draw, True)
      for branch, code, draw in pairs
    ),
    "generator": sum(judged(params, b, code, True) for b, code, _ in pairs),
    "classifier": -np.log(picked).mean(),
  }
  for player, value in expected.items():
    found = system.loss(system.state, player)[0]
    np.testing.assert_allclose(found, value, rtol=1e-5, err_msg=player)


def test_an_evaluation_reads_the_class_and_decodes_by_it():
  system, _ = case()
  params = zoo.float64(system.state.params)
  found = system.evaluate(system.state, zoo.batch(), zoo.KEY)
  guess, _ = encode(params, "labelled_image")
  wrong = guess.argmax(-1) != zoo.batch()["label"]
  np.testing.assert_array_equal(found["error"], wrong)
  logits, z = encode(params, "image")
  (output,) = a.mlp(
    np.hstack([z, a.softmax(logits)]), params["decoder"], a.relu, "logits"
  )
  x = zoo.flat(zoo.batch()["image"])
  error = ((x - a.sigmoid(output)) ** 2).mean(-1)
  np.testing.assert_allclose(found["psnr"], -10 * np.log10(error), rtol=1e-5)


def test_the_class_discriminator_sees_one_hot_classes_each_equally_often():
  _, model = case()
  y, z = (np.asarray(part) for part in model.draw(zoo.KEY, 20_000))
  assert set(np.unique(y)) == {0.0, 1.0}
  np.testing.assert_array_equal(y.sum(-1), 1.0)
  spread = np.sqrt(20_000 * 0.1 * 0.9)
  assert abs(y.sum(0) - 2000).max() < 4 * spread
  np.testing.assert_allclose(np.cov(z.T), np.eye(z.shape[1]), atol=0.05)
  assert abs(np.corrcoef(y.T, z.T)[:10, 10:]).max() < 0.04  # independent


def test_the_labels_of_unlabelled_digits_do_not_change_a_step():
  system, _ = case()
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)
  label = rng.permutation(np.arange(200, dtype=np.int32) % 10)

  def columns(label):
    eye = np.eye(10, dtype=np.float32)[label]
    rows = {"labelled_image": image, "label": label, "condition": eye}
    return {"image": image} | companions.draw(rows, 50, 3)

  first = columns(label)
  known = (image[:, None] == first["labelled_image"][None, :]).all((2, 3, 4))
  hidden = ~known.any(axis=1)
  other = label.copy()
  for row in range(0, 200, 2):  # neighbours swap, so that the draw is the same
    if hidden[row] and hidden[row + 1]:
      other[[row, row + 1]] = label[[row + 1, row]]
  assert (other != label).sum() > 50
  states = [
    step()(
      system.state,
      {name: column[: zoo.BATCH] for name, column in found.items()},
      zoo.KEY,
      np.int32(0),
    )[0]
    for found in (first, columns(other))
  ]
  assert jax.tree.all(jax.tree.map(np.array_equal, *states))
  moved = jax.tree.map(np.array_equal, states[0].params, system.state.params)
  assert not any(jax.tree.leaves(moved))


def test_labels_reach_the_classifier_alone():
  system, _ = case()
  given = dict(zoo.batch())
  given["condition"] = np.roll(given["condition"], 1, axis=1)
  given["labelled_image"] = given["labelled_image"][::-1]
  for name, player in system.players.items():
    loss = jax.jit(player.loss)
    one, other = (
      loss(system.state.params, {}, batch, zoo.KEY, np.int32(0))[0]
      for batch in (zoo.batch(), given)
    )
    assert (one == other) == (name != "classifier"), name


def test_a_digit_and_its_distorted_one_come_to_agree():
  system, model = case()
  model = model._replace(noise=0.2, distortion=0.2, agreement=7.0)
  params = system.state.params
  image = zoo.batch()["image"]
  loss = jax.jit(functools.partial(_classifier_loss, model))
  total, (terms, _) = loss(params, {}, zoo.batch(), zoo.KEY, 0)
  form = jax.random.fold_in(zoo.KEY, 1)
  moved = np.asarray(jax.jit(model.encode)(params, image, form)[0])
  q = a.softmax(encode(zoo.float64(params), "image")[0])
  expected = (q * np.log(q / a.softmax(moved))).sum(-1).mean()
  assert expected > 1e-3
  np.testing.assert_allclose(terms["disagreement"], expected, rtol=1e-3)
  np.testing.assert_allclose(
    total, terms["cross_entropy"] + 7.0 * expected, rtol=1e-4
  )


def test_only_the_distorted_one_is_taught():
  rng = np.random.default_rng(0)
  target, logits = rng.normal(size=(2, 4, 10)).astype(np.float32)

  def loss(target, logits):
    logq = jax.nn.log_softmax(logits)
    return few_labels.disagreement(target, logq).sum()

  for_target, for_logits = jax.grad(loss, argnums=(0, 1))(target, logits)
  np.testing.assert_array_equal(for_target, 0.0)
  slope = a.softmax(logits) - a.softmax(target)  # of cross-entropies
  np.testing.assert_allclose(for_logits, slope, atol=1e-6)


@pytest.mark.parametrize("page", ["zoo:ssaae", "zoo:m2", "adgm"])
def test_few_labels_are_of_a_condition_that_is_one_class(page):
  ink = Place("ink", "number", "scalar", (10,), None)
  label = Place("class", "class", "class", tuple(range(10)), None)
  config = configs.load(page)
  for size, places, named in ((11, (label, ink), "class, ink"), (0, (), "no")):
    known = FACTS._replace(
      columns=FACTS.columns | {"condition": (size,)}, attributes=places
    )
    with pytest.raises(ValueError, match=f"{size} entries, of {named}"):
      configs.resolve(config, known)
  known = FACTS._replace(attributes=(label,), rows=4500)
  assert configs.resolve(config, known).columns["condition"] == (10,)


def test_without_labels_classes_are_clusters_and_nobody_is_taught():
  system = zoo.made("ssaae,labels=0")
  assert system.system.unlabelled
  assert list(system.players) == ["autoencoder", "discriminators", "generator"]
  assert not zoo.made(NAME).system.unlabelled
  with pytest.raises(ValueError, match=r"data\.labels=0 leaves out"):
    zoo.made("ssaae,labels=0", loss__agreement=1.0)


@pytest.mark.parametrize("key", ["noise", "distortion", "shift", "dropout"])
def test_what_disturbs_the_encoder_does_so_in_training_alone(key):
  system, model = case()
  if key == "dropout":
    noisy = model._replace(encoder=model.encoder.clone(dropout=0.3))
  else:
    noisy = model._replace(**{key: 0.3})
  given = system.state.params, zoo.batch()["image"]
  trained = jax.jit(noisy.encode)(*given, zoo.KEY)
  plain, calm = (jax.jit(m.encode)(*given) for m in (noisy, model))
  for one, other, rest in zip(trained, plain, calm, strict=True):
    np.testing.assert_array_equal(other, rest)
    assert abs(one - other).max() > 1e-3


def test_a_distorted_image_is_scipy_s_between_its_pixels_and_0_outside():
  rng = np.random.default_rng(0)
  images = rng.uniform(size=(3, 5, 6, 2)).astype(np.float32)
  places = rng.uniform(-2, 7, (3, 40, 2)).astype(np.float32)
  found = jax.jit(distortion._sample)(images, places)
  for image, place, values in zip(images, places, found, strict=True):
    for channel in range(2):
      expected = ndimage.map_coordinates(
        image[..., channel], place.T, order=1, mode="grid-constant"
      )
      np.testing.assert_allclose(values[:, channel], expected, atol=1e-5)


def test_each_image_has_a_map_of_its_own_about_the_middle():
  side = 21
  place = np.stack(np.mgrid[:side, :side], axis=-1).astype(np.float32)
  images = np.tile(place, (400, 1, 1, 1))  # a pixel's value is its place
  distort = jax.jit(distortion.distort, static_argnums=(2, 3))
  found = distort(zoo.KEY, images, 0.1, 1.5)
  inner = slice(8, 13)  # comes from inside, where interpolation is exact
  off = (place - 10)[inner, inner].reshape(-1, 2)
  moved = np.asarray(found)[:, inner, inner].reshape(400, -1, 2)
  known = np.hstack([off, np.ones((len(off), 1))])
  fits = [np.linalg.lstsq(known, m - off, rcond=None)[0] for m in moved]
  maps, shifts = np.split(np.array(fits), [2], axis=1)
  assert maps.std() == pytest.approx(0.1, rel=0.06)
  shifts = shifts - 10
  assert 1.4 < abs(shifts).max() <= 1.5
  assert shifts.std() == pytest.approx(1.5 / np.sqrt(3), rel=0.06)
  assert distortion.distort(zoo.KEY, images, 0.0, 0.0) is images


def test_steps_from_a_checkpoint_are_those_that_nothing_interrupted(tmp_path):
  def train(state, *steps):
    for at in steps:
      batch = zoo.batch(seed=at)
      state = step()(state, batch, zoo.KEY, np.int32(at))[0]
    return state

  start = case()[0].state
  whole = train(start, 0, 1, 2, 3)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(2, train(start, 0, 1), {})
  restored = checkpoints.restore(2, start)[0]
  checkpoints.close()
  resumed = train(restored, 2, 3)
  assert jax.tree.all(jax.tree.map(np.array_equal, whole, resumed))
  assert resumed.step == 4


def test_it_is_drawn_and_read_class_by_class(data, tmp_path):
  run = zoo.untrained(NAME, data, tmp_path)
  assert set(figures.draw(run)) == {"prior", "classes", "paths"}
  found = run.classify(np.zeros((3, 28, 28, 1), np.uint8))
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
