"""A run shows itself: grids, walks and its card in a notebook."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from cvae_jax import runs, train
from cvae_jax.data import DataError
from cvae_jax.runs import RunError
from tests import small

HALF = {"ink": 0.5}


@pytest.fixture(scope="module")
def run():
  return runs.load("pretrained/digits")


def decoded(run, z, **asked):
  vector = run.conditions.encode([asked["class"]], ink=asked["ink"])
  return np.clip(run.decode(z, np.repeat(vector, len(z), 0)), 0, 1)


def test_a_grid_has_every_level_under_one_latent(run):
  picture = run.grid("class", seed=3, **HALF)
  assert picture.images.shape == (1, 10, 28, 28, 1)
  z = run.prior(1, 3)
  expected = [decoded(run, z, **{"class": k}, **HALF)[0] for k in range(10)]
  np.testing.assert_allclose(picture.images[0], expected, atol=1e-5)
  assert list(picture.columns) == [f"class {k}" for k in range(10)]
  assert run.grid("class", "ink").images.shape[:2] == (10, 5)
  assert run.grid(count=5, **{"class": 2}, **HALF).images.shape[:2] == (1, 5)


def test_a_picture_is_its_images_to_numpy_and_png_to_a_notebook(run, tmp_path):
  picture = run.grid("class", **HALF)
  np.testing.assert_array_equal(np.asarray(picture), picture.images)
  picture.save(tmp_path / "grid.png")
  assert picture._repr_png_() == (tmp_path / "grid.png").read_bytes()
  with Image.open(tmp_path / "grid.png") as drawn:
    assert drawn.width > 10 * 3 * 28
  assert len(repr(picture)) < 100


def test_a_traversal_moves_one_latent_a_row_and_holds_the_others(run):
  picture = run.traverse([11, 3], steps=5, span=2.0, **{"class": 3}, **HALF)
  assert picture.images.shape == (2, 5, 28, 28, 1)
  assert list(picture.rows) == ["latent 11", "latent 3"]
  z = np.zeros((5, 40), np.float32)
  z[:, 11] = [-2, -1, 0, 1, 2]
  expected = decoded(run, z, **{"class": 3}, **HALF)
  np.testing.assert_allclose(picture.images[0], expected, atol=1e-5)


def test_without_a_number_the_latents_that_change_images_most_are_moved(run):
  found = run.traverse(count=40, steps=2, **{"class": 3}, **HALF)
  change = np.square(found.images[:, 1] - found.images[:, 0]).mean((1, 2, 3))
  assert change[:8].min() > 20 * change[8:].max()  # this run uses eight
  assert sorted(found.rows) == sorted(f"latent {n}" for n in range(40))
  assert len(run.traverse(**{"class": 3}, **HALF).images) == 4


def test_latents_are_moved_by_deviations_of_the_prior_about_its_mean(run):
  def prior(key, count):
    noise = np.random.default_rng(0).standard_normal((count, 40))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0)
    return (2.0 + 0.5 * noise).astype(np.float32)

  own = run.system._replace(prior=prior)
  other = dataclasses.replace(run, system=own)
  found = other.traverse(7, steps=3, span=2.0, **{"class": 3}, **HALF)
  z = np.full((3, 40), 2.0, np.float32)
  z[:, 7] = [1.0, 2.0, 3.0]
  expected = decoded(run, z, **{"class": 3}, **HALF)
  np.testing.assert_allclose(found.images[0], expected, atol=1e-4)


def test_an_attribute_is_moved_from_its_low_to_its_high_end(run):
  ink = run.traverse("ink", count=2, **{"class": 3}).images.sum((2, 3, 4))
  assert ink.shape == (2, 9)
  assert (ink[:, -1] > 1.5 * ink[:, 0]).all()


def test_a_walk_between_images_begins_and_ends_at_their_reconstructions(run):
  images = run.sample({"class": [2, 7], "ink": 0.0}, seed=4)
  walk = run.interpolate(*images, condition="class=2,ink=0", to="class=7")
  assert walk.images.shape == (1, 9, 28, 28, 1)
  for place, k in ((0, 2), (-1, 7)):
    z = run.encode(images[place][None], {"class": k, "ink": 0}).mean
    expected = decoded(run, z, **{"class": k}, ink=0.0)[0]
    np.testing.assert_allclose(walk.images[0, place], expected, atol=1e-5)


def test_a_walk_between_latents_is_straight_and_between_draws_an_arc(run):
  a, b = run.prior(2, 5)
  asked = {"class": 3} | HALF
  between = run.interpolate(a, b, steps=3, **asked).images[0]
  middle = decoded(run, (a + b)[None] / 2, **asked)[0]
  np.testing.assert_allclose(between[1], middle, atol=1e-5)
  drawn = run.interpolate(steps=3, seed=5, **asked).images[0]
  np.testing.assert_allclose(drawn[[0, 2]], between[[0, 2]], atol=1e-5)
  assert np.abs(drawn[1] - middle).max() > 0.01


def test_a_walk_between_draws_of_a_bounded_prior_stays_within_its_bounds(run):
  ends = np.random.default_rng(0).uniform(-1, 1, (2, 40)).astype(np.float32)
  uniform = run.system._replace(prior=lambda key, count: ends[:count])
  bounded = dataclasses.replace(run, system=uniform)
  asked = {"class": 3} | HALF
  found = bounded.interpolate(steps=3, **asked).images[0]
  middle = decoded(run, ends.mean(axis=0)[None], **asked)[0]
  np.testing.assert_allclose(found[1], middle, atol=1e-5)


def test_what_an_image_shows_is_never_drawn_at_random(run):
  images = run.sample({"class": [2, 7], "ink": 0.0})
  with pytest.raises(DataError, match="class"):
    run.interpolate(*images)


@pytest.mark.parametrize(
  ("ask", "said"),
  [
    (lambda run: run.traverse(99, **HALF), "has latents 0 to 39; found 99"),
    (lambda run: run.traverse([0, -1], **HALF), "found -1"),
    (lambda run: run.interpolate(np.zeros(5), **HALF), "Z = 40"),
    (lambda run: run.interpolate(np.zeros((2, 2)), **HALF), r"\[H, W, C\]"),
  ],
)
def test_what_is_no_latent_and_no_image_is_refused(run, ask, said):
  with pytest.raises(RunError, match=said):
    ask(run)


def test_a_notebook_shows_samples_conditions_and_scores(run):
  card = run._repr_html_()
  (content,) = re.findall(r'src="data:image/png;base64,([^"]+)"', card)
  with Image.open(io.BytesIO(base64.b64decode(content))) as drawn:
    assert drawn.size == (3 * (10 * 30 - 2), 3 * (3 * 30 - 2))
  for word in ("pretrained/digits", "16,875 steps", "<td>ink</td>", "-473.22"):
    assert word in card
  assert "src=" not in card.replace('src="data:', "")


def test_a_run_prints_as_a_line(run):
  said = "pretrained/digits: .*, system cvae, 16,875 steps>"
  assert re.fullmatch(f"<Run .*{said}", repr(run))
  # What train_and_evaluate returns, as a notebook's cell prints it.
  state = repr(run.state)
  assert state == "TrainState(step=16875, params={decoder, encoder})"


def test_a_run_without_images_or_conditions_shows_the_rest(data, tmp_path):
  folder = tmp_path / "<b>run"
  config = small.config(data, "classifier", epochs=1)
  train.train_and_evaluate(config, folder)
  found = runs.load(folder)
  card = found._repr_html_()
  assert "<img" not in card
  assert "&lt;b&gt;run" in card
  assert "trained for 12 steps only" in card
  for ask in (found.traverse, found.interpolate):
    with pytest.raises(RunError, match="cannot decode"):
      ask()
