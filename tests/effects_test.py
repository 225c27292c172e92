"""The latents that change a picture most: one measure wherever shown."""

import numpy as np
import pytest

from cvae_jax import runs
from cvae_jax.apps.explore import opened as opening
from cvae_jax.apps.page import latents as page_latents
from cvae_jax.loop.run import effects


def linear(weights):
  """Return a decoder whose pixel p is z · weights[:, p]."""
  return lambda z, condition: (z @ weights)[:, :, None, None]


def test_the_effect_on_a_linear_picture_is_the_weight_times_the_deviation():
  generator = np.random.default_rng(0)
  weights = generator.normal(size=(6, 9))
  z = generator.normal(size=(300, 6)) * [1, 2, 3, 0.5, 0, 1]
  found = effects.measure(linear(weights), z, np.zeros(2))
  expected = np.abs(weights).mean(axis=1) * z.std(axis=0)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert effects.order(found) == np.argsort(-expected).tolist()


@pytest.mark.parametrize("size", [1, 100, 2000])
def test_any_number_of_latents_takes_a_bounded_number_of_images(size):
  drawn = []

  def decode(z, condition):
    assert condition.shape == (len(z), 3)
    drawn.append(len(z))
    return np.zeros((len(z), 2, 2, 1))

  found = effects.measure(decode, np.zeros((9, size)), np.zeros(3))
  assert found.shape == (size,)
  assert sum(drawn) <= max(512, size + 1)


def test_a_slider_spans_three_deviations_and_leaves_no_edge_by_much():
  generator = np.random.default_rng(0)
  z = np.stack([generator.normal(size=4000), generator.uniform(-1, 1, 4000)], 1)
  low, high = effects.latent_ranges(z).T
  np.testing.assert_allclose(high, [3.0, 1.5], atol=0.11)
  np.testing.assert_allclose(low, [-3.0, -1.5], atol=0.11)


def test_a_slider_reaches_all_draws_of_a_latent_that_is_far_from_zero():
  generator = np.random.default_rng(0)
  z = np.float32([5.04, -5.04]) + generator.normal(0, 0.01, (4000, 2))
  low, high = effects.latent_ranges(z.astype(np.float32)).T
  np.testing.assert_allclose(low, [5.0, -5.1])
  np.testing.assert_allclose(high, [5.1, -5.0])


def test_explorer_page_and_traversal_begin_with_the_same_latents():
  run = runs.load("pretrained/digits")
  explorer = opening.from_run(run, "digits").latents
  draws = page_latents.draws(run)[0]
  condition = opening.example_condition(run)[0]
  page = [row["index"] for row in page_latents.strongest(run, draws, condition)]
  moved = run.traverse(count=8, **{"class": 5}, ink=0.5).rows
  traversed = [int(row.split()[-1]) for row in moved]
  assert set(explorer) == set(page) == set(traversed)
