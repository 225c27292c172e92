"""Distances of samples as metrics of a run: against SciPy, and as a signal."""

import shutil

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from skimage.transform import downscale_local_mean

from benchmarks import equal_runs, soak_resume as soak
from cvae_jax import runs
from cvae_jax.config import ConfigError
from cvae_jax.data import load
from cvae_jax.loop import distances, keys
from cvae_jax.loop.feed import Feed, check
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.job import prepare
from tests import small, small_zoo
from tests.resume_test import equal
from tests.watch_test import replay

RULE = {"patience": 2, "relative": 0.05, "smoothing": 0.5}
WATCHED = {
  "epochs": 14,
  "checkpoint_every": 30,
  "log_every": 30,
  "keep": 2,
  "optim__lr": 0.02,
  "distance__images": 40,
  "distance__sliced": 14,
  "distance__directions": 64,
  "early_stop__metric": "sliced",
  "early_stop__restore": True,
  **{f"early_stop__{name}": value for name, value in RULE.items()},
}
DRAWN = {
  "distance__images": 8,
  "distance__sliced": 14,
  "distance__frechet": 28,
  "distance__directions": 7,
}


def embed(images):
  """Stands for VGG16: 4 products of averages."""
  means = downscale_local_mean(images, (1, 7, 7, 1)).reshape(len(images), -1)
  return means[:, 5:9] * means[:, 6:10]


def shrunk(images, factor):
  return downscale_local_mean(images, (1, factor, factor, 1))


def test_both_distances_are_scipys_of_the_same_images_and_latents(
  data, monkeypatch
):
  monkeypatch.setattr(distances, "load_embedding", lambda file: embed)
  monkeypatch.setattr(distances, "ROWS", 3)  # the last batch is padded
  made = small_zoo.made("vae", data__path=str(data), **DRAWN)
  test = Feed(check(load(made.config.data).test, made.system.columns))
  state = made.state
  measure = distances.make(made.config, made.system, test)
  found = measure(state)
  assert measure(state) == found

  rows = distances.choose_rows(test.rows, 8)
  assert len({*rows}) == 8 < test.rows
  real = test.columns["image"][rows] / 255.0
  z = jax.random.normal(keys.address(0, "sample"), (8, 3))
  condition = test.columns["condition"][rows]
  drawn = np.asarray(made.system.decode(state, z, condition), np.float64)

  generator = np.random.default_rng(0)
  along = generator.standard_normal((14 * 14, 7), np.float32)
  along /= np.linalg.norm(along, axis=0)
  a, b = (shrunk(images, 2).reshape(8, -1) @ along for images in (real, drawn))
  pairs = zip(a.T, b.T, strict=True)
  expected = np.mean([scipy.stats.wasserstein_distance(*p) for p in pairs])
  assert found["sliced"] == pytest.approx(expected, rel=1e-4)

  a = embed(real)
  b = embed(drawn)
  covariances = np.cov(a.T), np.cov(b.T)
  root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
  expected = ((a.mean(0) - b.mean(0)) ** 2).sum()
  expected += np.trace(sum(covariances) - 2 * root)
  assert found["frechet_vgg16"] == pytest.approx(expected, rel=1e-3)


def test_outputs_beyond_black_and_white_are_measured_as_the_picture_shown(data):
  config = {**DRAWN, "distance__frechet": 0}
  made = small_zoo.made("vae", data__path=str(data), **config)
  test = Feed(check(load(made.config.data).test, made.system.columns))

  def measured(low, high):
    def decode(state, z, condition):
      image = jax.numpy.full((len(z), 28, 28, 1), low)
      return image.at[:, 14:].set(high)

    system = made.system._replace(decode=decode)
    return distances.make(made.config, system, test)(made.state)

  assert measured(-0.5, 1.5) == measured(0.0, 1.0)


def drawing(made, shape):
  """Return a system that draws one grey picture of a shape, and real ones."""

  def decode(state, z, condition):
    return jax.numpy.full((len(z), *shape), 0.25)

  columns = {"image": shape}
  system = made.system._replace(decode=decode, columns=columns)
  pictures = np.random.default_rng(0).integers(0, 256, (12, *shape), np.uint8)
  return system, Feed({"image": pictures})


def test_the_distance_of_images_that_are_not_square_is_scipys(data):
  changes = {"distance__images": 10, "distance__directions": 5}
  made = small_zoo.made("vae", data__path=str(data), **changes)
  assert made.config.distance.sliced == 32  # the default
  system, test = drawing(made, (64, 48, 1))
  distances.check(made.config, system, test)
  found = distances.make(made.config, system, test)(made.state)

  real = test.columns["image"][distances.choose_rows(12, 10)] / 255.0
  along = np.random.default_rng(0).standard_normal((32 * 24, 5), np.float32)
  along /= np.linalg.norm(along, axis=0)
  shown = np.full((10, 32 * 24), 0.25) @ along
  pairs = zip((shrunk(real, 2).reshape(10, -1) @ along).T, shown.T, strict=True)
  expected = np.mean([scipy.stats.wasserstein_distance(*p) for p in pairs])
  assert found["sliced"] == pytest.approx(expected, rel=1e-4)


def test_a_height_that_the_width_does_not_fit_is_refused_at_once(data):
  changes = {"distance__images": 10, "distance__sliced": 16}
  made = small_zoo.made("vae", data__path=str(data), **changes)
  for shape, fitting in (
    ((64, 42, 1), "one of 32"),
    ((64, 45, 1), "none: no whole block fits"),
  ):
    with pytest.raises(ConfigError, match="sliced is 16; expected 64") as error:
      distances.check(made.config, *drawing(made, shape))
    assert str(error.value).endswith(f"averaged down, {fitting}")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
  """(folder, returned state) of a run that a distance stopped."""
  folder = tmp_path_factory.mktemp("distance")
  return folder, small_zoo.run(data, folder, "vae", **WATCHED)


def test_a_run_stops_where_a_replay_of_its_distance_says(whole):
  folder, state = whole
  rows = [row for row in read_metrics(folder) if row["split"] == "test"]
  at, best = replay([row["sliced"] for row in rows], mode="min", **RULE)
  assert at == len(rows) - 1 < WATCHED["epochs"] - 1
  assert state.step == rows[best]["step"] < rows[at]["step"]
  assert rows[best]["sliced"] > 0
  assert equal(runs.load(folder).state, state)


def test_a_kill_after_the_best_leaves_no_trace(data, whole, tmp_path):
  """The running mean goes on from the checkpoint of the best."""
  folder = shutil.copytree(whole[0], tmp_path / "killed")
  (folder / "DONE").unlink()
  for step in soak.list_saved_steps(folder):
    if step > whole[1].step:
      shutil.rmtree(folder / "checkpoints" / str(step))
  assert soak.list_saved_steps(folder)[-1] == whole[1].step
  assert equal(small_zoo.run(data, folder, "vae", **WATCHED), whole[1])
  assert soak.list_saved_steps(folder) == soak.list_saved_steps(whole[0])
  assert equal_runs.differences(whole[0], folder) == []


@pytest.mark.parametrize(
  ("system", "changes", "message"),
  [
    ("cvae", {"images": 51}, "51; it is 2 or more, and at most the 50 images"),
    ("cvae", {"images": 1}, "is 1; it is 2 or more"),
    ("cvae", {"sliced": 16}, "distance.sliced is 16; .* one of 14$"),
    ("cvae", {"frechet": 28}, r"reads RGB of 16 .* images are \(28, 28, 1\)"),
    ("faces", {"frechet": 12, "images": 8}, "frechet is 12: VGG16 reads RGB"),
    ("cvae", {"sliced": 0}, "sliced and frechet have no side"),
    ("classifier", {}, "'attribute' draws no images; set 0"),
  ],
)
def test_distances_that_cannot_be_measured_are_refused_at_once(
  data, system, changes, message
):
  rule = {"images": 40, "sliced": 4} | changes
  rule = {f"distance__{name}": value for name, value in rule.items()}
  with pytest.raises(ConfigError, match=message):
    prepare(small.config(data, system, **rule))


def test_a_stop_may_follow_only_what_is_measured(data):
  with pytest.raises(ConfigError, match="'sliced'; expected one of"):
    prepare(small.config(data, early_stop__metric="sliced"))
