"""What the explorer answers, without a browser."""

from urllib.parse import parse_qsl

import numpy as np
import pytest

from cvae_jax.apps.explore import opened as opening, pictures, request
from cvae_jax.data import DataError
from cvae_jax.runs import RunError

DIGITS = "pretrained/digits"


@pytest.fixture(scope="module")
def digits():
  return opening.open_run(DIGITS)


def test_a_picture_is_what_the_python_api_draws(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=7)
  drawn = pictures.draw(digits, asked)
  run = digits.run
  wanted = run.sample({"class": 3, "ink": 0.5}, seed=7, count=request.COUNT)
  np.testing.assert_array_equal(drawn.images, wanted)


def test_a_latent_set_by_hand_is_decoded_at_that_value(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, moved={4: 1.5})
  z = digits.run.prior(request.COUNT, 0)
  z[:, 4] = 1.5
  wanted = digits.run.guided(z, digits.run.conditions.encode([3], 0.5))
  np.testing.assert_array_equal(pictures.draw(digits, asked).images, wanted)


def test_the_first_latents_are_those_that_move_the_picture_most(digits):
  run = digits.run
  z = run.prior(16, 1)
  condition = run.conditions.encode([5], 0.5)

  def change(latent):
    other = z.copy()
    other[:, latent] += 1
    return np.abs(
      run.decode(other, condition) - run.decode(z, condition)
    ).mean()

  least = np.argsort(digits.activity)[: opening.SLIDERS]
  assert min(map(change, digits.latents)) > 2 * max(map(change, least))


def test_a_link_restores_a_request(digits):
  asked = request.Request({"class": "8", "ink": 0.25}, 12, 4, {3: -1.5}, 1.0)
  link = parse_qsl(asked.to_query("digits"), keep_blank_values=True)
  assert request.from_query(digits, link) == asked


@pytest.mark.parametrize(
  ("query", "error", "words"),
  [
    ("set=colour=red", RunError, "no condition 'colour'; there is class, ink"),
    ("set=class=12", DataError, "class has no level '12'"),
    ("set=ink=7", DataError, "ink is from -1 to 1; found 7"),
    ("set=ink=", RunError, "needs a value"),
    ("seed=-1", RunError, "seed is from 0"),
    ("seed=x", RunError, "seed is from 0"),
    ("pick=9", RunError, "pick is from 0 to 8"),
    ("z=40:1", RunError, "latents are from 0 to 39"),
    ("z=1:nan", RunError, "finite"),
    ("z=a", RunError, "latent:value"),
  ],
)
def test_a_wrong_link_is_an_error_that_says_what_there_is(
  digits, query, error, words
):
  with pytest.raises(error, match=words):
    request.from_query(digits, parse_qsl(query, keep_blank_values=True))


def test_a_plane_has_the_values_of_its_axes(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=2, pick=5)
  across, up = digits.latents[:2]
  sheet = pictures.plane(digits, asked, across, up, 5)
  moved = {across: sheet.columns[4], up: sheet.rows[0]}
  assert sheet.rows[0] > sheet.rows[-1]  # upwards
  one = request.Request({"class": "3", "ink": 0.5}, 2, 5, moved)
  np.testing.assert_allclose(
    sheet.images[0, 4], pictures.draw(digits, one).images[5], atol=1e-6
  )


def test_a_grid_has_every_pair_of_two_conditions(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=2, pick=1)
  sheet = pictures.grid(digits, asked, "ink", "class")
  assert sheet.images.shape == (5, 10, 28, 28, 1)
  assert sheet.columns[7] == "class 7"
  one = request.Request({"class": "7", "ink": 1.0}, 2, 1)
  np.testing.assert_allclose(
    sheet.images[4, 7], pictures.draw(digits, one).images[1], atol=1e-6
  )


def test_a_run_that_draws_nothing_is_refused():
  class System:
    decode = None

  class Run:
    folder = "runs/judge"
    system = System

    class config:
      system = "attribute"

  with pytest.raises(RunError, match="draws no images"):
    opening.opened(Run, "judge")
