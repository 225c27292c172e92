"""Priors fitted after training: against SciPy, and in a run's hands."""

import dataclasses
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture

from cvae_jax import runs, train
from cvae_jax.apps.export import write
from cvae_jax.loop.run import fitted, pictures
from cvae_jax.measures import collapse, score, score_text
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.metrics import aggregate
from cvae_jax.nets.mlp import binary
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")
RNG = np.random.default_rng(0)
ROWS = 600
Z = 2
LABEL = RNG.integers(0, 3, ROWS)
INK = RNG.uniform(0, 1, ROWS)
CLASS = np.eye(3)[LABEL]
GIVEN = np.concatenate([CLASS, INK[:, None]], axis=1)
CENTER = np.array([[0.0, 3.0], [4.0, 0.0], [-3.0, -2.0]])
MEAN = (
  CENTER[LABEL]
  + np.outer(INK, [2.0, -1.0])
  + RNG.normal(0, 0.3, (ROWS, Z)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
)
VARIANCE = RNG.uniform(0.1, 0.5, (ROWS, Z))
AT = RNG.normal(0, 2, (7, Z))


def test_a_fit_has_the_moments_of_the_aggregate_posterior():
  covariance = np.cov(MEAN.T) + np.diag(VARIANCE.mean(0))
  found = aggregate.fit(MEAN, VARIANCE).log_density(AT)
  oracle = stats.multivariate_normal(MEAN.mean(0), covariance)
  np.testing.assert_allclose(found, oracle.logpdf(AT), rtol=1e-9)


@pytest.mark.parametrize("label", range(3))
def test_each_class_has_a_gaussian_of_its_own(label):
  own = MEAN[label == LABEL]
  covariance = np.cov(own.T) + np.diag(VARIANCE[label == LABEL].mean(0))
  oracle = stats.multivariate_normal(own.mean(0), covariance).logpdf(AT)
  condition = np.eye(3)[[label] * len(AT)]
  found = aggregate.fit(MEAN, VARIANCE, CLASS).log_density(AT, condition)
  np.testing.assert_allclose(found, oracle, rtol=1e-9)


def test_within_a_class_the_mean_is_linear_in_a_number():
  own = LABEL == 1
  lines = [stats.linregress(INK[own], MEAN[own, i]) for i in range(Z)]
  at = np.array([line.intercept + 0.3 * line.slope for line in lines])
  rest = MEAN[own] - np.stack(
    [line.intercept + INK[own] * line.slope for line in lines], axis=1
  )
  oracle = stats.multivariate_normal(at, np.cov(rest.T)).logpdf(AT)
  condition = np.tile([0.0, 1.0, 0.0, 0.3], (len(AT), 1))
  found = aggregate.fit(MEAN, condition=GIVEN).log_density(AT, condition)
  np.testing.assert_allclose(found, oracle, rtol=1e-6)


@pytest.mark.parametrize("ink", [0.0, 0.4, 1.0])
def test_a_number_that_a_class_has_once_moves_no_latent_of_it(ink):
  given = GIVEN.copy()
  given[LABEL == 1, 3] = 0.4
  own = MEAN[LABEL == 1]
  oracle = stats.multivariate_normal(own.mean(0), np.cov(own.T)).logpdf(AT)
  condition = np.tile([0.0, 1.0, 0.0, ink], (len(AT), 1))
  found = aggregate.fit(MEAN, condition=given).log_density(AT, condition)
  np.testing.assert_allclose(found, oracle, rtol=1e-6)


def test_a_condition_of_few_rows_takes_the_line_through_all():
  few = np.concatenate([GIVEN[LABEL == 0], GIVEN[LABEL == 1][:5]])
  codes = np.concatenate([MEAN[LABEL == 0], MEAN[LABEL == 1][:5]])
  found = aggregate.fit(codes, condition=few)
  assert len(found.cells) == 1
  asked = few[-1:]
  design = np.concatenate([np.ones((len(few), 1)), few], axis=1)
  lines = np.linalg.pinv(design) @ codes
  rest = codes - design @ lines
  at = np.concatenate([[1.0], asked[0]]) @ lines
  oracle = stats.multivariate_normal(at, np.cov(rest.T)).logpdf(AT)
  condition = np.tile(asked, (len(AT), 1))
  np.testing.assert_allclose(
    found.log_density(AT, condition), oracle, rtol=1e-6
  )


def test_a_mixture_is_scikit_learn_s():
  oracle = GaussianMixture(3, random_state=0).fit(MEAN - MEAN.mean(0))
  found = aggregate.fit(MEAN, components=3)
  np.testing.assert_allclose(
    found.log_density(AT),
    oracle.score_samples(AT - MEAN.mean(0)),
    rtol=1e-6,
  )
  assert (
    found.log_density(MEAN).mean()
    > aggregate.fit(MEAN).log_density(MEAN).mean()
  )


@pytest.mark.parametrize("components", [1, 3])
def test_draws_have_the_moments_of_what_was_fitted(components):
  found = aggregate.fit(MEAN, VARIANCE, components=components)
  z = found.draw(20_000)
  covariance = np.cov(MEAN.T) + np.diag(VARIANCE.mean(0))
  np.testing.assert_allclose(z.mean(0), MEAN.mean(0), atol=0.12)
  np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.4)


def test_draws_obey_their_condition_and_share_their_noise_if_asked():
  found = aggregate.fit(MEAN, VARIANCE, CLASS)
  z = found.draw(3000, 0, np.tile(np.eye(3), (1000, 1)), shared=3)
  for label in range(3):
    own = MEAN[label == LABEL]
    np.testing.assert_allclose(z[label::3].mean(0), own.mean(0), atol=0.1)
  # One noise under three classes: what is drawn correlates.
  assert np.corrcoef(z[0::3, 0], z[1::3, 0])[0, 1] > 0.9


def test_shared_noise_gives_similar_classes_similar_latents():
  # Codes of all classes have one covariance, up to the chance of the rows.
  rng = np.random.default_rng(5)
  latents = 6
  labels = np.repeat(np.arange(8), 400)
  codes = rng.standard_normal((len(labels), latents)) @ np.diag(
    [3.0, 2.5, 2.0, 1.5, 1.0, 0.5]
  )
  found = aggregate.fit(codes, condition=np.eye(8)[labels])
  z = found.draw(8000, 0, np.tile(np.eye(8), (1000, 1)), shared=8)
  for latent in range(latents):
    together = np.corrcoef(z[:, latent].reshape(1000, 8).T)
    assert together.min() > 0.9


def test_an_unknown_value_takes_the_fit_without_a_condition():
  found = aggregate.fit(MEAN, VARIANCE, CLASS)
  condition = np.zeros((7, 3))
  np.testing.assert_array_equal(
    found.log_density(AT, condition, np.zeros(7, bool)), found.log_density(AT)
  )


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("fitted") / "digits"
  train.train_and_evaluate(small.config(data, epochs=4), folder)
  return runs.load(folder)


def test_a_fitted_prior_is_kept_with_the_run_and_read_again(run, monkeypatch):
  first = run.with_prior("fitted")
  assert (run.folder / fitted.FILE).exists()
  monkeypatch.setattr(fitted, "load_data", None)  # it is not asked again
  again = run.with_prior("fitted")
  for field in dataclasses.fields(first.fitted):
    np.testing.assert_array_equal(
      getattr(first.fitted, field.name), getattr(again.fitted, field.name)
    )
  np.testing.assert_array_equal(
    run.sample("class=3,ink=0", seed=4, count=2, prior="fitted"),
    again.sample("class=3,ink=0", seed=4, count=2),
  )
  other = run.sample("class=3,ink=0", seed=4, count=2)
  assert not np.array_equal(other, again.sample("class=3,ink=0", 4, count=2))


def test_a_fit_of_another_state_is_made_anew(run):
  run.with_prior("fitted")
  path = run.folder / fitted.FILE
  moved = run.state.replace(
    params={
      **run.state.params,
      "encoder": jax.tree.map(lambda a: 0.5 * a, run.state.params["encoder"]),
    }
  )
  before = path.read_bytes()
  other = dataclasses.replace(run, state=moved).with_prior("fitted")
  assert path.read_bytes() != before
  own = run.with_prior("fitted").fitted
  assert not np.allclose(other.fitted.kernel, own.kernel)


@pytest.mark.parametrize(
  "damage",
  [
    lambda content: content[:100],
    lambda content: content[:700] + bytes(9) + content[709:],
    lambda content: content.replace(b"\x08\x00", b"\x63\x00"),  # its method
    lambda content: b"",
  ],
)
def test_a_damaged_fit_is_made_anew(run, damage):
  whole = run.with_prior("fitted").fitted
  path = run.folder / fitted.FILE
  path.write_bytes(damage(path.read_bytes()))
  np.testing.assert_array_equal(
    run.with_prior("fitted").fitted.covariance, whole.covariance
  )


def test_a_mixture_is_asked_for_by_its_size_and_kept_beside(run, monkeypatch):
  assert run.with_prior("fitted").fitted.components == 1
  assert run.with_prior("fitted:2").fitted.components == 2
  assert {p.name for p in fitted.list_files(run.folder)} == {
    "prior.npz",
    "prior_2.npz",
  }
  monkeypatch.setattr(fitted, "load_data", None)  # neither is made again
  assert run.with_prior("fitted").fitted.components == 1
  assert run.with_prior("fitted:2").fitted.components == 2


@pytest.mark.parametrize("name", ["fit", "fitted:0", "fitted:", "standard"])
def test_another_name_is_refused(run, name):
  with pytest.raises(runs.RunError, match="expected fitted"):
    run.sample("class=3", prior=name)


def test_more_gaussians_than_images_are_refused_in_our_words(run):
  with pytest.raises(
    runs.RunError, match=r"400 for 999: give a smaller fitted:K"
  ):
    fitted.load_or_fit(run, "fitted:999")


def test_a_run_without_an_encoder_says_so(run):
  system = run.system._replace(encode=None)
  with pytest.raises(runs.RunError, match="encodes no images"):
    dataclasses.replace(run, system=system).with_prior("fitted:7")


@pytest.mark.parametrize(
  "choices",
  [{}, {"half": True}, {"encoder": False}, {"half": True, "encoder": False}],
)
def test_an_export_carries_the_fitted_prior(
  run, tmp_path, choices, monkeypatch
):
  own = run.with_prior("fitted").fitted
  run.with_prior("fitted:2")
  write.export(run, tmp_path / "out", ("safetensors",), **choices)
  card = (tmp_path / "out" / "README.md").read_text()
  listed = re.findall(r"^- `(.+)`$", card, re.MULTILINE)
  assert set(listed) == {path.name for path in (tmp_path / "out").iterdir()}
  assert "files beside this one" not in card  # without ONNX there are none
  monkeypatch.setattr(fitted, "load_data", None)
  exported = runs.load(tmp_path / "out")
  assert exported.with_prior("fitted:2").fitted.components == 2
  found = exported.with_prior("fitted").fitted
  np.testing.assert_array_equal(found.covariance, own.covariance)
  if "encoder" in choices:
    with pytest.raises(runs.RunError, match=r"no prior 'fitted:3' came with"):
      exported.with_prior("fitted:3")
  if choices == {"encoder": False}:
    np.testing.assert_array_equal(
      exported.sample("class=3,ink=0", seed=4, prior="fitted"),
      run.sample("class=3,ink=0", seed=4, prior="fitted"),
    )


def test_grids_and_scores_use_the_fitted_prior(run):
  own = run.with_prior("fitted:1")
  picture = pictures.draw(own, "ink=0", grid=["class"])
  assert not np.array_equal(
    picture.images, pictures.draw(run, "ink=0", grid=["class"]).images
  )
  scores = score.score(own, samples=0, per_class=4)
  assert scores["protocol"]["prior"] == "fitted:1"
  assert scores["fitted"]["components"] == 1
  score.save(own, scores)
  assert score.load_known(own) is not None
  assert score.load_known(run) is None  # they are not of the run's own prior
  assert "log fitted prior of codes" in score_text.table(scores)


def test_codes_of_held_out_images_are_likelier_under_the_fit(run):
  own = run.with_prior("fitted:1")
  scores = score.score(own, samples=0, per_class=4)["fitted"]
  assert scores["fitted"] > scores["own"]


def test_few_labels_are_no_conditions_of_the_other_images(monkeypatch):
  image = np.zeros((40, 4, 4, 1), np.uint8)
  truth = np.arange(40) % 2
  image[truth == 1] = 255
  columns = {
    "image": image,
    "labelled_image": image[::-1],
    "condition": np.eye(2, dtype=np.float32)[truth[::-1]],
  }
  seen = []

  def encode(images, condition):
    seen.append(condition)
    return SimpleNamespace(
      mean=np.zeros((40, 2)), logvar=np.zeros((40, 2), np.float32)
    )

  monkeypatch.setattr(fitted, "load_data", lambda *given: given[-1])
  run = SimpleNamespace(
    folder="r",
    config=SimpleNamespace(data=None),
    classify=lambda images: np.eye(2)[(images.mean(axis=(1, 2, 3)) > 99) * 1],
    encode=encode,
    system=SimpleNamespace(classify=True, observe=None),
  )
  fitted.fit(run, SimpleNamespace(train=columns))
  np.testing.assert_array_equal(seen[0].argmax(axis=1), truth)
  collapse.draw_fitted(run, SimpleNamespace(train=columns), 3)
  np.testing.assert_array_equal(seen[1].argmax(axis=1), truth)


def test_a_fit_is_of_drawn_pixels_where_training_draws_them(monkeypatch):
  """A code is an image's pixels: 0.5 each, or draws of variance 0.25."""

  def encode(images, condition):
    mean = runs.unit(images).reshape(len(images), -1)
    return Gaussian(mean, np.full_like(mean, -9.0))

  monkeypatch.setattr(fitted, "load_data", lambda *given: given[-1])
  columns = {"image": np.full((2000, 1, 2, 1), 128, np.uint8)}
  run = SimpleNamespace(
    folder="r",
    config=SimpleNamespace(data=None),
    encode=encode,
    system=SimpleNamespace(classify=None, observe=binary),
  )
  found = fitted.fit(run, SimpleNamespace(train=columns))
  spread = found.covariance[aggregate.MARGINAL, 0]
  np.testing.assert_allclose(spread, 0.25 * np.eye(2), atol=0.02)
