"""The semi-supervised AAE: its players' losses, what they see, its runs."""

import functools

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import figures, runs
from cvae_jax.data.files import companions
from cvae_jax.systems.models import ssaae
from cvae_jax.types import Facts
from tests import arithmetic as a, sharing, small_zoo as zoo

FACTS = Facts({"image": (28, 28, 1), "condition": (10,)})
NAME = "ssaae,labels=50"


@functools.cache
def case():
  """Return a small system without noise and its networks."""
  calm = {f"model__encoder__{key}": 0.0 for key in ("dropout", "input_dropout")}
  system = zoo.made(NAME, model__noise_level=0.0, **calm)
  return system, ssaae.build(system.config, FACTS)


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
  step = jax.jit(system.system.step)
  states = [
    step(system.state, {k: v[:6] for k, v in found.items()}, zoo.KEY, 0)[0]
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
    one, other = (
      player.loss(system.state.params, {}, batch, zoo.KEY, np.int32(0))[0]
      for batch in (zoo.batch(), given)
    )
    assert (one == other) == (name != "classifier"), name


def test_without_labels_classes_are_clusters_and_nobody_is_taught():
  system = zoo.made("ssaae,labels=0")
  assert system.system.unlabelled
  assert list(system.players) == ["autoencoder", "discriminators", "generator"]
  assert not zoo.made(NAME).system.unlabelled


@pytest.mark.parametrize("key", ["noise_level", "encoder__dropout"])
def test_noise_disturbs_training_and_no_evaluation(key):
  calm, _ = case()
  noisy = zoo.made(
    NAME,
    **{
      "model__noise_level": 0.0,
      "model__encoder__dropout": 0.0,
      "model__encoder__input_dropout": 0.0,
      f"model__{key}": 0.3,
    },
  )
  before, after = (
    system.loss(system.state, "classifier")[0] for system in (calm, noisy)
  )
  assert abs(before - after) > 1e-5
  before, after = (
    system.evaluate(system.state, zoo.batch(), zoo.KEY)["cross_entropy"]
    for system in (calm, noisy)
  )
  np.testing.assert_array_equal(before, after)


def test_it_resumes_exactly_and_is_drawn_class_by_class(data, tmp_path):
  with sharing.programs():
    zoo.run(data, tmp_path / "whole", NAME, epochs=2)
    for epochs in (1, 2):
      zoo.run(data, tmp_path / "stopped", NAME, epochs=epochs)
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []
  run = runs.load(tmp_path / "whole")
  assert set(figures.draw(run)) == {"prior", "classes", "paths"}
  found = run.classify(np.zeros((3, 28, 28, 1), np.uint8))
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
