"""Collapse of posteriors and of modes: measured apart, against brute force."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from cvae_jax import config as configs
from cvae_jax.data import DataError, Dataset
from cvae_jax.measures import collapse, kept
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.metrics import diversity, manifold, sliced
from cvae_jax.runs import Run
from cvae_jax.types import System, TrainState

SHAPE = (8, 8, 3)
Z = 3
rng = np.random.default_rng(0)
BASIS = rng.normal(0, 0.3, (Z, *SHAPE)).astype(np.float32)
CONFIG = configs.ConfigDict(configs.loop() | {"system": "fake"})


@pytest.fixture(scope="module")
def dataset():
  columns = [
    {"image": rng.integers(0, 256, (rows, *SHAPE), np.uint8)}
    for rows in (60, 40)
  ]
  return Dataset(*columns, conditions=None)


def made(folder, encode=None, strength=1.0, step=3):
  """Make a run whose images are sums of a few patterns."""

  def decode(state, z, condition):
    pixels = jnp.tensordot(strength * z, BASIS, axes=1)
    return 1 / (1 + jnp.exp(-pixels))

  columns = {"image": SHAPE}
  system = System(None, None, None, columns, decode=decode, encode=encode)
  state = TrainState(np.int32(step), {}, {}, {})
  return Run(folder, CONFIG, None, system._replace(latents=Z), state)


def code(state, image, condition):
  """Encodes to one latent that an image moves and two that none does."""
  mean = jnp.tensordot(image.reshape(len(image), -1), DIRECTIONS, axes=1)
  return Gaussian(mean, jnp.full_like(mean, -1.0))


DIRECTIONS = np.zeros((192, Z), np.float32)
DIRECTIONS[:, 0] = rng.normal(0, 1, 192)


def test_without_an_encoder_only_modes_are_measured(dataset, tmp_path):
  found = collapse.measure(made(tmp_path), held(dataset))
  assert found["posterior"] is None
  assert [*found["samples"]] == ["prior"]
  drawn = made(tmp_path).decode(made(tmp_path).prior(40), np.zeros((40, 0)))
  real = diversity.mean_distance(dataset.test["image"])
  assert found["real"]["distance"] == pytest.approx(real)
  ratio = diversity.mean_distance(drawn) / real
  assert found["samples"]["prior"]["ratio"] == pytest.approx(ratio, rel=0.01)
  assert "frechet_vgg16" not in found["samples"]["prior"]
  assert found["real"]["sliced"] < found["samples"]["prior"]["sliced"]


def held(dataset, embed=None):
  return collapse.Held(dataset, CONFIG.distance, embed)


def test_images_that_are_not_square_are_averaged_by_the_same_factor():
  pictures = rng.integers(0, 256, (2, 20, 64, 48, 3), np.uint8)
  columns = [{"image": one} for one in pictures]
  floor = held(Dataset(*columns, conditions=None)).floor
  small = [
    downscale_local_mean(one / 255.0, (1, 2, 2, 1)).astype(np.float32)
    for one in pictures
  ]
  expected = sliced.distance(*small, CONFIG.distance.directions)
  assert floor["sliced"] == pytest.approx(expected, rel=1e-3)


def sorted_greys(count):
  """Return ten classes of images in order, each of one grey, and the greys."""
  grey = np.repeat(np.arange(10) * 28, count // 10)
  image = np.zeros((count, *SHAPE), np.uint8) + grey[:, None, None, None]
  return image.astype(np.uint8), grey / 255.0


def test_distances_of_rows_sorted_by_class_are_those_of_all_classes(tmp_path):
  image, grey = sorted_greys(1000)
  beside = held(Dataset({"image": image}, {"image": image}, conditions=None))
  apart = np.abs(grey[:, None] - grey)
  every = apart.sum() / (1000 * 999)
  assert beside.variety == pytest.approx(every, rel=0.01)
  # The samples are one grey at the rows of the first five classes.
  samples = np.where(np.arange(1000)[:, None, None, None] < 500, 0, image)
  seen = np.where(np.arange(1000) < 500, 0.0, grey)
  ratio = np.abs(seen[:, None] - seen).sum() / apart.sum()
  found = beside.judge(samples.astype(np.uint8))
  assert found["ratio"] == pytest.approx(ratio, rel=0.02)

  def mean_grey(state, given, condition):
    mean = jnp.repeat(given.mean(axis=(1, 2, 3))[:, None], Z, axis=1)
    return Gaussian(mean, jnp.full_like(mean, -9.0))

  run = made(tmp_path, mean_grey)
  again = 1 / (
    1 + np.exp(-np.tensordot(np.repeat(grey[:, None], Z, 1), BASIS, 1))
  )
  error = diversity.paired_distance(image, again.astype(np.float32))
  found = collapse.measure(run, beside)["posterior"]
  assert found["error"] == pytest.approx(error, rel=0.01)


def test_a_record_of_many_images_says_that_their_rows_are_spread():
  few, many = (
    held(Dataset({"image": x}, {"image": x}, conditions=None)).protocol()
    for x in (sorted_greys(count)[0] for count in (500, 600))
  )
  # Records of older releases took the first rows: of few images all.
  assert (few["paired"], many["paired"]) == (500, 512)
  assert "paired_rows" not in few
  assert many["paired_rows"] == "spread evenly"


def test_a_generator_of_one_picture_has_lost_its_modes(dataset, tmp_path):
  run = made(tmp_path, strength=0.0)
  found = collapse.measure(run, held(dataset))["samples"]["prior"]
  assert found["near_duplicates"] == 1.0
  assert found["ratio"] == pytest.approx(0, abs=1e-6)


def test_a_collapsed_posterior_and_varied_samples_are_told_apart(
  dataset, tmp_path
):
  def deaf(state, image, condition):
    return Gaussian(jnp.zeros((len(image), Z)), jnp.zeros((len(image), Z)))

  for name, encode in (("deaf", deaf), ("code", code)):
    (tmp_path / name).mkdir()
    found = collapse.measure(made(tmp_path / name, encode), held(dataset))
    varied = found["samples"]["prior"]
    if name == "deaf":
      lost = found["posterior"]
      assert varied["ratio"] > 0.2
      assert found["samples"]["fitted"]["near_duplicates"] == 1.0  # one code
  assert (lost["active"], lost["of"], lost["kl"]) == (0, Z, 0.0)
  assert lost["ratio"] == pytest.approx(0, abs=1e-6)
  kept = found["posterior"]
  codes = dataset.test["image"].reshape(40, -1) / 255.0 @ DIRECTIONS
  assert kept["active"] == 1
  kl = 0.5 * (codes**2 + np.exp(-1) - 1 + 1).sum(axis=1).mean()
  assert kept["kl"] == pytest.approx(kl, rel=1e-3)
  assert kept["ratio"] > 0.05
  pictures = 1 / (1 + np.exp(-np.tensordot(codes, BASIS, axes=1)))
  error = diversity.paired_distance(dataset.test["image"], pictures)
  assert kept["error"] == pytest.approx(error, rel=0.01)


def test_the_fitted_gaussian_has_the_codes_moments(dataset, tmp_path):
  z = collapse.draw_fitted(made(tmp_path, code), dataset, 4000)
  codes = dataset.train["image"].reshape(60, -1) / 255.0 @ DIRECTIONS
  np.testing.assert_allclose(
    z.mean(0), codes.mean(0), atol=0.05 * codes[:, 0].std()
  )
  np.testing.assert_allclose(
    np.cov(z.T), np.cov(codes.T), atol=0.1 * codes[:, 0].var()
  )


def test_features_take_the_place_of_pixels_where_there_are_some(
  dataset, tmp_path
):
  found = collapse.measure(
    made(tmp_path), held(dataset, lambda images: images.mean(axis=(1, 2)))
  )
  assert found["protocol"]["neighbours"] == "VGG16's features"
  assert found["protocol"]["frechet_side"] == 8
  assert found["real"]["frechet_vgg16"] >= 0


def test_near_duplicates_of_one_space_are_told_from_those_of_both(dataset):
  """Features that see one colour alone find pictures alike that are not."""

  def blind(images):
    return np.round(images[:, 0, 0])

  images = dataset.train["image"][:40]
  judged = held(dataset, blind).judge(images)
  assert judged["near_duplicates"] > 0.9
  assert judged["near_duplicates_pixels"] < 0.1
  same = held(dataset, blind).judge(images[[0] * 40])
  assert same["near_duplicates"] == same["near_duplicates_pixels"] == 1.0
  plain = held(dataset).judge(images)  # without features pixels are all
  assert plain["near_duplicates"] == plain["near_duplicates_pixels"]


def test_a_record_of_another_protocol_is_measured_again(dataset, tmp_path):
  run = made(tmp_path)
  beside = held(dataset)
  found = collapse.measure(run, beside)
  old = {k: v for k, v in found["protocol"].items() if k != "near_duplicates"}
  kept.write(tmp_path, "collapse", found | {"protocol": old})
  assert collapse.measure(run, beside) == found


@pytest.mark.parametrize("rows", [(9, 3), (3, 9), (9, None)])
def test_too_few_images_to_measure_by_are_refused(rows):
  train, test = (
    count and {"image": np.zeros((count, *SHAPE), np.uint8)} for count in rows
  )
  with pytest.raises(DataError, match="sets of 4 images or more"):
    held(Dataset(train, test, conditions=None))
  few = np.zeros((4, *SHAPE), np.uint8)
  beside = held(Dataset({"image": few}, {"image": few}, conditions=None))
  assert beside.floor["sliced"] == 0


def test_a_checkpoint_is_measured_once(dataset, tmp_path):
  run = made(tmp_path)
  beside = held(dataset)
  found = collapse.measure(run, beside)
  kept.write(tmp_path, "collapse", found | {"marked": True})
  assert collapse.measure(run, beside)["marked"]
  assert "marked" not in collapse.measure(made(tmp_path, step=4), beside)


def test_a_generator_of_one_picture_is_found_beside_images_that_repeat():
  real = np.random.default_rng(0).normal(3.0, 1.0, (400, 300))
  real[200:] = real[:200]  # the nearest neighbour of each is itself
  samples = np.tile(np.random.default_rng(1).normal(3.0, 1.0, 300), (400, 1))
  assert manifold.near_duplicates(real, samples) == 1.0
  assert manifold.near_duplicates_interval(real, samples) == [1.0, 1.0]
  other = np.random.default_rng(2).normal(3.0, 1.0, (400, 300))
  assert manifold.near_duplicates(real, other) == 0.0


def test_samples_are_those_that_the_run_draws(dataset, tmp_path):
  given = rng.normal(size=(40, 2)).astype(np.float32)
  asked = Dataset(
    dataset.train, dataset.test | {"condition": given}, conditions=None
  )
  run = made(tmp_path)
  seen = []

  def draw(self, count, seed=0, condition=None, shared=1):
    seen.append(condition)
    return np.zeros((count, Z), np.float32)

  def guided(self, z, condition, guidance=None):
    return np.full((len(z), *SHAPE), 0.25, np.float32)

  kind = type("Guided", (Run,), {"prior": draw, "guided": guided})
  found = collapse.measure(
    kind(tmp_path, run.config, None, run.system, run.state), held(asked)
  )
  np.testing.assert_array_equal(seen[0], held(asked).condition)
  assert found["samples"]["prior"]["ratio"] == 0.0


def test_two_sets_of_one_kind_are_not_said_to_repeat():
  """Nothing repeats, so 1 % of either set is near; few draws say otherwise."""
  wrong = 0
  for seed in range(20):
    drawn = np.random.default_rng(seed).standard_normal((2, 300, 5))
    low, high = manifold.near_duplicates_interval(*drawn, draws=200)
    assert low <= manifold.near_duplicates(*drawn) <= high
    wrong += low > 0.05 or high < 0.005
  assert wrong <= 1


def test_a_set_that_repeats_is_told_from_one_that_does_not():
  real, samples = np.random.default_rng(0).standard_normal((2, 300, 5))
  samples[:150] = samples[0] + 1e-6 * samples[:150]
  low, high = manifold.near_duplicates_interval(real, samples, draws=200)
  assert 0.4 < low < 0.5 < high < 0.6
