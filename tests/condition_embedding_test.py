"""Networks that build themselves are told angles by their harmonics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax import config as configs, data, runs, train
from cvae_jax.loop.begin import borrow
from cvae_jax.loop.job import prepare
from cvae_jax.nets import condition_embedding
from cvae_jax.types import Place

pytestmark = pytest.mark.usefixtures("plain_convolutions")

PLACES = (
  Place("kind", "class", "softmax", (0, 1), None),
  Place("turn", "angle", "circular", (2, 3), None),
)


def clocks(count=48):
  """Draw bright dots at an angle around the middle of 8×8 pixels."""
  turn = np.arange(count) * 360.0 / count
  y, x = np.mgrid[:8, :8] - 3.5
  at = np.radians(turn)[:, None, None]
  far = (x - 2.5 * np.cos(at)) ** 2 + (y + 2.5 * np.sin(at)) ** 2
  image = (255 * np.exp(-far)).astype(np.uint8)[..., None]
  return data.from_arrays(image, {"turn": turn}, kinds={"turn": "angle"})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  train.train_and_evaluate(
    configs.load("images:smoke"), folder, dataset=clocks()
  )
  return folder


def test_overtones_are_cosines_and_sines_of_multiples_of_the_angle():
  angle = np.linspace(-4, 4, 9)
  condition = np.stack([np.ones(9), np.cos(angle), np.sin(angle)], axis=-1)
  found = condition_embedding.overtones(jnp.asarray(condition), (1, 2), 5)
  expected = [f(k * angle) for k in range(2, 6) for f in (np.cos, np.sin)]
  np.testing.assert_allclose(
    np.concatenate(found, axis=-1), np.stack(expected, axis=-1), atol=1e-5
  )


def test_only_angles_have_harmonics_and_an_unknown_one_has_none():
  angles = condition_embedding.angles(PLACES, 4)
  assert angles == condition_embedding.Angles(((2, 3),), 4)
  unknown = condition_embedding.overtones(jnp.zeros((2, 4)), angles.pairs[0], 4)
  assert not np.any(unknown)
  assert condition_embedding.angles(PLACES[:1], 4).pairs == ()
  assert condition_embedding.overtones(jnp.ones((2, 4)), (2, 3), 1) == []


@pytest.mark.parametrize("variant", ["", ",latents=hierarchy"])
def test_the_page_tells_both_networks_the_harmonics_that_it_says(variant):
  dataset = clocks()
  for harmonics in (1, 3):
    page = configs.load(
      f"images:smoke{variant}", {"model.harmonics": harmonics}
    )
    system = prepare(page, dataset=dataset).system
    params = jax.eval_shape(system.init, jax.random.key(0)).params
    kernels = [
      leaf.shape
      for path, leaf in jax.tree_util.tree_leaves_with_path(params)
      if "'embedding']['dense_0']['kernel']" in jax.tree_util.keystr(path)
    ]
    assert len(kernels) == (1 if variant else 2)
    assert {shape[0] for shape in kernels} == {2 * harmonics}


def test_a_run_begun_before_there_were_harmonics_has_the_first_only():
  page = configs.load("images:smoke")
  with page.unlocked():
    del page.model.harmonics
  system = prepare(page, dataset=clocks()).system
  decoder = jax.eval_shape(system.init, jax.random.key(0)).params["decoder"]
  assert decoder["net"]["embedding"]["dense_0"]["kernel"].shape[0] == 2


def test_no_harmonic_at_all_is_refused():
  with pytest.raises(configs.ConfigError, match="found 0; expected 1 or more"):
    configs.load("images", {"model.harmonics": 0})


@pytest.mark.parametrize("system", ["vae", "aae", "gan"])
def test_a_system_without_a_condition_has_no_harmonics_to_set(system):
  with pytest.raises(configs.ConfigError, match="no key 'harmonics'"):
    configs.load(f"images:system={system}", {"model.harmonics": 2})


def test_a_run_with_angles_loads_and_another_begins_from_it(run):
  loaded = runs.load(run)
  images = loaded.sample(turn=90, count=2)
  assert images.shape == (2, 8, 8, 1)
  fresh = jax.tree.map(jnp.zeros_like, loaded.state)
  taken = borrow(fresh, str(run)).params
  jax.tree.map(np.testing.assert_array_equal, taken, loaded.state.params)
