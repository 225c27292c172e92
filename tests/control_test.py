"""Control scores of faces, with a decoder and judges that are known."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cvae_jax import config as configs, data as sources, runs, train
from cvae_jax.data import digits, faces
from cvae_jax.measures import control, score, score_text
from cvae_jax.types import System

NAMES = ("male", "female", "hair_color", "mouth", "eyes")
SIZE = 20
SETTINGS = {
  "data.count": 200,
  "data.image_shape": (SIZE, SIZE, 3),
}


def load(variant="gender"):
  return configs.load(f"configs/attributes.py:{variant},smoke", SETTINGS)


@pytest.fixture(scope="module")
def split():
  return sources.load(load().data)


def made(config, conditions, **functions):
  system = System(
    init=None,
    step=None,
    evaluate=None,
    columns={"image": (SIZE, SIZE, 3)},
    latents=2,
    **functions,
  )
  return runs.Run(config.name, config, conditions, system, state=None)


def painter(conditions, mix=None):
  """A run that paints condition i, as `mix` has it, on row i of an image."""
  mix = np.eye(5) if mix is None else mix

  def decode(state, z, condition):
    shown = condition @ jnp.asarray(mix, jnp.float32)
    rows = jnp.zeros((len(z), SIZE)).at[:, :5].set(shown)
    return jnp.broadcast_to(rows[:, :, None, None], (len(z), SIZE, SIZE, 3))

  return made(ConfigDict({"name": "painter"}), conditions, decode=decode)


def reader(variant, conditions, seen=None):
  """A judge that reads what a painter painted; `seen` notes what is given."""
  config = load(variant)
  target = list(config.columns.target)

  def predict(state, image, given):
    if seen is not None:
      seen.append(given.shape)
    return image[:, jnp.array(target), 0, 0]

  with config.unlocked():
    config.name = variant
  return made(config, conditions, predict=predict)


def judges(conditions):
  names = ("mouth", "gender", "eyes", "hair")  # gender need not be first
  return [reader(name, conditions) for name in names]


def test_an_obedient_model_scores_1_and_leaks_nothing(split):
  run = painter(split.conditions)
  scores = control.score(run, judges(split.conditions), split.test, 20, 0)
  assert set(scores["control"]) == {"gender", "hair_color", "mouth", "eyes"}
  gender = scores["control"]["gender"]
  for kind in ("sweep", "real"):
    assert gender[kind]["hit_rate"] == 1.0
    assert 0.2 < gender[kind]["floor"] < 0.8
    for name in ("hair_color", "mouth", "eyes"):
      value = scores["control"][name][kind]
      assert value["correlation"] == pytest.approx(1)
      assert value["slope"] == pytest.approx(1)
      assert value["mean_absolute_error"] == pytest.approx(0, abs=1e-6)
      assert abs(value["floor"]) < 0.3
  change = scores["leakage"]["change"]
  std = split.test["condition"].std(axis=0)
  for moved, row in change.items():
    for name, value in row.items():
      places = np.arange(5)[split.conditions.columns(name)]
      column = places[0]
      low, high = split.conditions.ends(name)[:, 0]
      expected = high - low if name == moved else 0.0
      assert value == pytest.approx(expected, abs=1e-6)
      normal = scores["leakage"]["normalised"][moved][name]
      assert normal == pytest.approx(expected / std[column], abs=1e-5)
  assert not [w for w in control.warnings(scores) if "ignored" in w]
  text = "\n".join(control.lines(scores))
  assert "gender, asked for and read" in text
  assert "100.00%" in text


def test_what_leaks_is_found_in_its_place(split):
  mix = np.eye(5)
  mix[3, 4] = 0.25  # mouth shows in the eyes too
  run = painter(split.conditions, mix)
  scores = control.score(run, judges(split.conditions), split.test, 10, 0)
  change = scores["leakage"]["change"]
  low, high = split.conditions.ends("mouth")[:, 0]
  # What a picture cannot show is cut off at 1.
  assert 0.1 * (high - low) < change["mouth"]["eyes"] <= 0.25 * (high - low)
  assert change["eyes"]["mouth"] == pytest.approx(0, abs=1e-6)
  assert change["mouth"]["hair_color"] == pytest.approx(0, abs=1e-6)


def test_a_deaf_model_is_warned_of_by_each_attribute(split):
  run = painter(split.conditions, np.zeros((5, 5)))
  scores = control.score(run, judges(split.conditions), split.test, 10, 0)
  found = [w for w in control.warnings(scores) if "condition ignored" in w]
  assert len(found) == 4
  assert scores["control"]["eyes"]["sweep"]["correlation"] == 0


def test_a_sweep_moves_one_attribute_and_keeps_real_rows(split):
  rows = split.test["condition"]
  asked = split.conditions.probe("mouth", rows, 4)
  assert asked.shape == (4 * 9, 5)
  low, _, high = split.conditions.quantiles[3]
  np.testing.assert_allclose(asked[:9, 3], np.linspace(low, high, 9), rtol=1e-6)
  others = [0, 1, 2, 4]
  assert np.array_equal(asked[:, others], rows[:4, others].repeat(9, axis=0))
  gender = split.conditions.probe("gender", rows, 3)
  assert gender[:, :2].tolist() == [[0, 1], [1, 0]] * 3


def test_the_ceiling_is_of_images_that_no_judge_was_trained_on(split):
  """A judge trained on all but the first ten leaves those."""
  test = {name: column[:30] for name, column in split.train.items()}
  kept = sources.Dataset(
    {name: column[10:] for name, column in split.train.items()}, None, None
  )
  judge = reader("gender", split.conditions)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sources, "load", lambda _: kept)
    run = painter(split.conditions)
    found = control.score(run, [judge], test, 5, 0)["control"]["gender"]
  assert found["ceiling"]["samples"] == 10
  right = test["image"][:10, 0, 0, 0] >= test["image"][:10, 1, 0, 0]
  male = test["condition"][:10, 0] == 1
  assert found["ceiling"]["hit_rate"] == (right == male).mean()


def test_regressors_are_given_what_the_gender_judge_reads(split):
  given = []

  def predict(state, image, read):
    given.append(read)
    return image[:, 3:4, 0, 0]

  mouth = reader("mouth", split.conditions)
  system = mouth.system._replace(predict=predict)
  mouth = dataclasses.replace(mouth, system=system)
  read = control.Reader(
    split.conditions, [mouth, reader("gender", split.conditions)]
  )
  images = np.random.default_rng(0).random((6, SIZE, SIZE, 3), np.float32)
  found = read(images, np.zeros((6, 5)))
  np.testing.assert_array_equal(found["gender"], images[:, :2, 0, 0])
  assert found["mouth"].shape == (6, 1)
  assert given[0].shape == (6, 2)  # traced: the values are the gender's


def test_judges_that_do_not_fit_are_refused(split):
  with pytest.raises(runs.RunError, match=r"is given male, female .* add the"):
    control.Reader(split.conditions, [reader("eyes", split.conditions)])
  other = digits.Conditions("per_class", (0.1,) * 10, (0.1,) * 10)
  with pytest.raises(runs.RunError, match="reads male, female; the run is con"):
    control.Reader(other, [reader("gender", split.conditions)])
  judge = reader("gender", split.conditions)
  test = {name: column[:5] for name, column in split.test.items()}
  test["image"] = test["image"][:, :10]
  with pytest.raises(runs.RunError, match=r"\(20, 20, 3\); the run's are"):
    control.score(painter(split.conditions), [judge], test, 2, 0)


def test_a_run_that_reads_nothing_is_no_judge(split):
  run = painter(split.conditions)
  with run.config.unlocked():
    run.config.system = "cvae"
  with pytest.raises(runs.RunError, match=r"painter is no judge: .* 'cvae'"):
    control.Reader(split.conditions, [run])
  with pytest.raises(runs.RunError, match="painter is no judge"):
    score.score(run, [run])


def test_a_single_probability_of_male_is_a_value_like_others():
  conditions = faces.Conditions(("male",), ((0.0, 1.0),), ((0.0, 0.5, 1.0),))
  assert [a.kind for a in conditions.attributes] == ["number"]
  assert conditions.columns("male") == slice(0, 1)


TINY = {
  "cvae": {
    "model.encoder.features": (4,),
    "model.encoder.strides": (2,),
    "model.encoder.dropout": (0.0,),
    "model.encoder.dense": 6,
    "model.encoder.side": 4,
    "model.encoder.latents": 3,
    "model.decoder.dense": 6,
    "model.decoder.map": (10, 10, 2),
    "model.decoder.features": (3,),
    "model.decoder.strides": (2,),
    "model.decoder.dropout": (0.0,),
  },
  "judge": {
    "model.features": (3,),
    "model.pool_after": (0,),
    "model.dense": (4,),
  },
}


def test_trained_runs_score_from_their_folders(data, tmp_path):
  """From the commands' side; `data` shares what is compiled."""
  pages = {
    "f1": ("faces.py:model=1,smoke", "cvae"),
    "gender": ("attributes.py:gender,smoke", "judge"),
    "hair": ("attributes.py:hair,smoke", "judge"),
  }
  for name, (page, size) in pages.items():
    config = configs.load(f"configs/{page}", SETTINGS | TINY[size])
    train.train_and_evaluate(config, tmp_path / name)
  run, *readers = (runs.load(tmp_path / name) for name in pages)
  scores = score.score(run, readers, samples=0, per_class=4)
  assert set(scores["control"]) == {"gender", "hair_color"}
  entry = scores["control"]["hair_color"]
  assert entry["ceiling"]["samples"] == scores["protocol"]["test_examples"]
  assert entry["sweep"]["samples"] == 4 * 9
  assert entry["real"]["samples"] == 40
  change = scores["leakage"]["change"]
  assert set(change) == {"gender", "hair_color", "mouth", "eyes"}
  assert all(set(row) == {"gender", "hair_color"} for row in change.values())
  assert json.loads(json.dumps(scores)) == scores
  lines = score_text.table(scores).splitlines()
  names = next(i for i, x in enumerate(lines) if x.startswith("leakage")) + 1
  assert set(lines[names].split()) == {"gender", "hair_color"}  # as in the rows
  assert "iw_bound" not in scores["test"]


def test_long_names_of_the_leakage_table_stay_apart():
  name = "Brille / Sonnenbrille"
  change = {"sex": {"sex": 1.5, name: -0.25}, name: {"sex": 0.0, name: 2.0}}
  *_, head, first, _ = control.lines(
    {"control": {}, "leakage": {"normalised": change}}
  )
  assert head.split(maxsplit=1) == ["sex", name]
  assert first.split() == ["sex", "1.50", "-0.25"]
  assert len(head) == len(first)  # numbers end where their names do
