"""A run that is asked in words: sample, encode, edit, pictures of a request."""

import dataclasses
import types

import numpy as np
import pytest
from scipy import stats

from cvae_jax import config as configs, data as sources, runs, train
from cvae_jax.data import DataError
from cvae_jax.loop.run import pictures, requests
from cvae_jax.measures import kept
from cvae_jax.runs import RunError
from launch import run_flags
from tests import small

COUNT = 200
KINDS = {"grade": "ordinal:low<mid<high", "turn": "angle"}


def columns(missing=0):
  rng = np.random.default_rng(0)
  found = {
    "shape": rng.choice(["circle", "square", "triangle"], COUNT),
    "size": rng.uniform(0.2, 1.0, COUNT),
    "grade": rng.choice(["low", "mid", "high"], COUNT),
    "turn": rng.uniform(0, 360, COUNT),
  }
  if missing:
    for at, name in enumerate(found):
      found[name] = found[name].astype(object)
      found[name][at * missing : (at + 1) * missing] = None
  return found


def trained(folder, missing=0):
  images = np.random.default_rng(1).integers(0, 256, (COUNT, 12, 12, 3))
  dataset = sources.from_arrays(
    images.astype(np.uint8), columns(missing), kinds=KINDS
  )
  settings = {"model.latents": 4, "batch_size": 32}
  config = configs.load("zoo:scvae,smoke", settings)
  train.train_and_evaluate(config, folder, dataset=dataset)
  return runs.load(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return trained(tmp_path_factory.mktemp("asked") / "run")


@pytest.fixture(scope="module")
def unsure(tmp_path_factory):
  return trained(tmp_path_factory.mktemp("asked") / "unsure", missing=20)


WHOLE = {"shape": "triangle", "size": 0.9, "grade": "mid", "turn": 45}
TEXT = "shape=triangle, size=0.9,grade=mid,turn=45"


def test_words_a_mapping_text_and_vectors_ask_for_the_same(run):
  vectors = run.conditions.encode(WHOLE)
  expected = run.sample(np.repeat(vectors, 4, axis=0), seed=3)
  for found in (
    run.sample(**WHOLE, count=4, seed=3),
    run.sample(WHOLE, 3, count=4),
    run.sample(TEXT, 3, count=4),
    run.sample(vectors, 3, count=4),
    run.sample(dict(WHOLE, shape=["triangle"] * 4), 3),
  ):
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  "text", ["shape=cube", "form=circle", "shape", "turn=north"]
)
def test_an_error_in_words_names_the_flag(run, text):
  with pytest.raises(DataError, match=f"^--condition={text}: "):
    run_flags.parse(run, "condition", text)
  assert run_flags.parse(run, "set", "") == {}


def test_what_is_sampled_can_be_encoded_and_one_request_serves_all(run):
  images = run.sample(shape="circle", count=8)
  assert images.min() >= 0
  assert images.max() <= 1
  one = run.encode(images, **WHOLE).mean
  vectors = np.repeat(run.conditions.encode(WHOLE), 8, axis=0)
  np.testing.assert_array_equal(one, run.encode(images, vectors).mean)


def test_lists_of_no_values_ask_for_no_samples(run, unsure):
  nothing = {name: [] for name in WHOLE}
  for one in (run, unsure):
    vectors = one.request(nothing).vectors
    assert vectors.shape == (0, one.condition_size)


def test_what_is_left_out_is_drawn_from_training_rows_together(run):
  found = run.request(shape="circle", count=50, seed=1)
  assert found.note == (
    "size, grade, turn left out: drawn for each sample from the training rows"
  )
  conditions = run.conditions
  np.testing.assert_array_equal(
    found.vectors[:, conditions.columns("shape")], np.eye(3)[[0] * 50]
  )
  rows = conditions.training_conditions()
  others = slice(conditions.columns("shape").stop, None)
  assert {*map(tuple, found.vectors[:, others])} <= {
    *map(tuple, rows[:, others])
  }
  again = run.request(shape="circle", count=50, seed=1)
  np.testing.assert_array_equal(found.vectors, again.vectors)


def test_what_is_left_out_and_the_latents_of_a_seed_are_drawn_apart(run):
  """Row numbers and |z₀| of a seed's first sample had a correlation of 0.8."""
  known = run.conditions.training_conditions()
  rows = []
  sizes = []
  for seed in range(200):
    drawn = run.request(count=1, seed=seed).vectors
    rows.append(np.abs(known - drawn).sum(axis=1).argmin())
    sizes.append(abs(run.prior(1, seed)[0, 0]))
  assert abs(stats.spearmanr(rows, sizes).statistic) < 0.25


def test_what_training_always_knew_is_drawn_and_never_unknown(run, unsure):
  whole = run.conditions.rows
  first, *others = unsure.conditions.asked
  gaps = dataclasses.replace(
    unsure.conditions, rows=(*whole, (None, *whole[0][1:]))
  )
  partly = dataclasses.replace(unsure, conditions=gaps)
  found = partly.request(count=30)
  assert found.note == (
    f"{first} left out: unknown to the model, which was trained so; "
    f"{', '.join(others)} left out: drawn for each sample from the training "
    "rows"
  )
  assert not gaps.known(found.vectors, first).any()
  for name in others:
    assert gaps.known(found.vectors, name).all()
  with pytest.raises(RunError, match="of each attribute"):
    partly.with_guidance(2.0)
  unsaid = {others[1]: None}
  images = partly.sample(WHOLE)
  for refused in (
    lambda: pictures.draw(partly, {}, unknown=[*unsaid]),
    lambda: partly.sample(unsaid),
    lambda: partly.sample(f"{others[1]}="),
    lambda: partly.encode(images, WHOLE | unsaid),
    lambda: partly.edit(images, WHOLE, unsaid),
  ):
    with pytest.raises(RunError, match=f"every ({'|'.join(others)}) known"):
      refused()
  assert partly.encode(images, WHOLE | {first: None}).mean.shape[0] == 1
  with pytest.raises(DataError, match=f"{', '.join(others)}: no value was giv"):
    partly.encode(images, {first: None})


@pytest.mark.parametrize(
  "asked", [{"count": 0}, {"count": -2}, {"seed": 1.5}, {"seed": -1}]
)
def test_a_senseless_count_or_seed_is_refused(run, asked):
  name, value = asked.popitem()
  with pytest.raises(RunError, match=rf"{name} is .*found {value}"):
    run.sample(shape="circle", **{name: value})


def test_to_a_model_of_unknown_values_what_is_left_out_is_unknown(unsure):
  found = unsure.request("shape=circle", count=2)
  assert "unknown to the model" in found.note
  known = [unsure.conditions.known(found.vectors, n)[0] for n in WHOLE]
  assert known == [True, False, False, False]
  images = unsure.sample(shape="circle", count=2)
  assert unsure.encode(images, shape="circle").mean.shape == (2, 4)
  assert unsure.encode(images).mean.shape == (2, 4)


def test_a_run_that_cannot_encode_says_so_before_it_asks_for_a_condition(run):
  system = run.system._replace(encode=None)
  images = run.sample(count=1)
  with pytest.raises(RunError, match="'vae', cannot encode"):
    dataclasses.replace(run, system=system).encode(images)


def test_encoding_needs_every_value_where_all_are_known(run):
  images = run.sample(count=1)
  with pytest.raises(DataError, match=r"turn: no value was given.*full turn"):
    run.encode(images, shape="circle", size=0.5, grade="low")


def test_encoding_names_each_value_that_is_lacking_and_may_not_be(unsure):
  # A model that saw unknown sizes only.
  def that_lacks(*unknowns):
    return types.SimpleNamespace(
      conditions=unsure.conditions, unknowns=unknowns
    )

  given = {"grade": "low"}
  with pytest.raises(DataError, match=r"^shape, turn: no value was given"):
    requests.complete(that_lacks("size"), given)
  found = requests.complete(that_lacks("size", "shape", "turn"), given)
  assert found == {"grade": "low", "shape": None, "size": None, "turn": None}


def test_guidance_goes_on_from_the_answer_without_the_condition(run, unsure):
  z = unsure.prior(3, 5)
  vectors = unsure.request(WHOLE, 3).vectors
  with_it = unsure.decode(z, vectors)
  without = unsure.decode(z, np.zeros_like(vectors))
  expected = np.clip(without + 2 * (with_it - without), 0, 1)
  found = unsure.sample(WHOLE, 5, count=3, guidance=2.0)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  guided = unsure.with_guidance(2.0)
  np.testing.assert_array_equal(guided.sample(WHOLE, 5, count=3), found)
  assert kept.section(guided, "scores") == "scores_guidance:2"  # its own
  np.testing.assert_array_equal(guided.guided(z, vectors), found)
  with pytest.raises(RunError, match="trained with unknown values of each"):
    run.sample(WHOLE, guidance=2.0)
  with pytest.raises(RunError, match="a finite number; found nan"):
    unsure.sample(WHOLE, guidance=np.nan)


@pytest.mark.parametrize(
  "draw",
  [
    lambda run: run.grid("shape", seed=3).images,
    lambda run: run.traverse("size", count=1).images,
    lambda run: run.traverse([0], steps=3, shape="circle").images,
    lambda run: run.interpolate(steps=3, to={"shape": "circle"}).images,
  ],
)
def test_pictures_have_the_guidance_of_their_run(unsure, draw):
  guided = unsure.with_guidance(3.0)
  assert np.abs(draw(guided) - draw(unsure)).max() > 1e-3
  np.testing.assert_array_equal(draw(guided.with_guidance(1.0)), draw(unsure))


def test_a_temperature_scales_the_latents_of_all_that_is_drawn(run):
  cool = run.with_temperature(0.5)
  np.testing.assert_allclose(cool.prior(4, 7), 0.5 * run.prior(4, 7))
  found = run.sample(WHOLE, 5, count=3, temperature=0.5)
  vectors = run.request(WHOLE, 3).vectors
  expected = np.clip(run.decode(0.5 * run.prior(3, 5), vectors), 0, 1)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  np.testing.assert_array_equal(cool.sample(WHOLE, 5, count=3), found)
  assert kept.section(cool, "scores") == "scores_temperature:0.5"
  assert kept.identify_state(cool)["temperature"] == 0.5
  with pytest.raises(RunError, match="a number from 0 on; found -1"):
    run.with_temperature(-1.0)
  learned = dataclasses.replace(
    run, system=run.system._replace(draw=lambda *_: None)
  )
  with pytest.raises(RunError, match="of another prior: leave the temp"):
    learned.sample(WHOLE, temperature=0.5)
  fitted = dataclasses.replace(run, fitted=object())
  with pytest.raises(RunError, match="of another prior: leave the temp"):
    fitted.with_temperature(0.5)


def test_a_walk_begins_at_the_fitted_latents_of_its_condition(run, monkeypatch):
  asked = []
  monkeypatch.setattr(
    type(run),
    "prior",
    lambda self, n, seed, c: asked.append(c) or np.eye(n, 4, dtype="f4"),
  )
  begin = run.request(WHOLE, 1).vectors
  run.interpolate(steps=2, condition=WHOLE, to={"shape": "square"})
  end = run.request({**WHOLE, "shape": "square"}, 1).vectors
  np.testing.assert_array_equal(asked[0], np.concatenate([begin, end]))


@pytest.mark.parametrize(
  ("call", "said"),
  [
    (lambda r: r.sample(shape="hexagon"), "there is circle, square, triangle"),
    (lambda r: r.sample(size=7), r"size is from 0\.\d+ to \S+; found 7"),
    (lambda r: r.sample(colour="red"), "no attribute 'colour'; shape is"),
    (lambda r: r.sample("shape"), "'shape' is not name=value"),
    (
      lambda r: r.sample(shape=["circle", "square"], count=3),
      "found 2 values of shape, count=3",
    ),
    (
      lambda r: r.sample(shape=["circle"] * 2, size=[0.5] * 3),
      "found 2 values of shape, 3 values of size",
    ),
    (
      lambda r: r.sample(np.zeros((2, 7)), shape="circle"),
      "as vectors or as words; found vectors and shape",
    ),
    (lambda r: r.sample(np.zeros((2, 8)), count=3), "count is 3; found 2"),
    (lambda r: r.sample(np.zeros((2, 5))), r"A = 8 .*found shape \(2, 5\)"),
    (lambda r: pictures.draw(r, grid=["shape", "x"]), "no attribute 'x'"),
    (lambda r: pictures.draw(r, sweep="siez"), "no attribute 'siez'; shape is"),
    (
      lambda r: pictures.draw(r, "shape=circle", grid=["shape"]),
      "shape is asked for in two ways",
    ),
    (lambda r: pictures.draw(r, unknown=["shape"]), "with every shape known"),
    (lambda r: r.sample(shape=None), "with every shape known"),
    (lambda r: r.sample("shape="), "with every shape known"),
    (lambda r: pictures.draw(r, grid=["a", "b", "c"]), "no attribute 'a'"),
    (
      lambda r: pictures.draw(r, grid=["shape"], sweep="size"),
      "a grid or a sweep; found both",
    ),
  ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(run, call, said):
  with pytest.raises((RunError, DataError), match=said) as error:
    call(run)
  assert "\n" not in str(error.value)


def test_a_grid_shows_every_pair_with_one_latent(run):
  picture = pictures.draw(
    run, "size=0.5,turn=0", grid=["shape", "grade"], seed=2
  )
  assert picture.images.shape == (3, 3, 12, 12, 3)
  assert picture.rows == ["shape circle", "shape square", "shape triangle"]
  assert picture.columns == ["grade low", "grade mid", "grade high"]
  z = run.prior(1, 2)
  vectors = run.conditions.encode(
    shape="square", grade="high", size=0.5, turn=0
  )
  np.testing.assert_allclose(
    picture.images[1, 2], run.guided(z, vectors)[0], atol=1e-6
  )
  one = pictures.draw(run, grid=["size"], count=2)
  assert one.images.shape[:2] == (2, 5)
  assert "shape, grade, turn left out" in one.note


def test_a_sweep_moves_one_attribute_along_a_row(run):
  picture = pictures.draw(run, "shape=circle", sweep="turn", count=3)
  assert picture.images.shape[:2] == (3, 9)
  assert picture.columns[0] == "turn 0"
  assert picture.columns[-1] == "turn 320"


def test_samples_fill_rows_and_what_is_unknown_is_told(unsure):
  picture = pictures.draw(unsure, "size=0.5", unknown=["shape"], count=10)
  assert picture.images.shape[:2] == (2, 8)
  assert (picture.images[1, 2:] == 1).all()
  assert "grade, turn left out: unknown" in picture.note
  assert "shape" not in picture.note


def test_an_edit_changes_what_it_names_and_nothing_else(run):
  images = run.sample(WHOLE, count=2)
  changed = run.conditions.encode(WHOLE, shape="circle")
  expected = run.edit(images, run.conditions.encode(WHOLE), changed)
  found = run.edit(images, WHOLE, "shape=circle")
  np.testing.assert_allclose(found, expected, atol=1e-6)
  with pytest.raises(DataError, match="no level 'cube'"):
    run.edit(images, WHOLE, {"shape": "cube"})


def test_one_condition_is_edited_into_several(run):
  image = run.sample(WHOLE, count=1)
  shapes = ["circle", "square", "triangle"]
  found = run.edit(image, WHOLE, {"shape": shapes})
  for row, shape in zip(found, shapes, strict=True):
    expected = run.edit(image, WHOLE, {"shape": shape})[0]
    np.testing.assert_allclose(row, expected, atol=1e-6)
  two = np.repeat(run.conditions.encode(WHOLE), 2, axis=0)
  with pytest.raises(DataError, match="3 values for 2 rows; give one value"):
    run.edit(np.repeat(image, 2, axis=0), two, {"shape": shapes})
  with pytest.raises(RunError, match="from one condition to one; found 1 and"):
    run.interpolate(condition=WHOLE, to={"shape": shapes})


def test_digits_are_asked_for_as_any_data(data, tmp_path):
  config = small.config(data, epochs=1)
  train.train_and_evaluate(config, tmp_path / "run")
  run = runs.load(tmp_path / "run")
  vectors = run.conditions.encode([3], ink=0.5)
  np.testing.assert_array_equal(
    run.sample("class=3,ink=0.5", count=2), run.sample(vectors, count=2)
  )
  images = run.sample({"class": 3}, count=2)
  assert len(run.encode(images, "class=3,ink=0").mean) == 2
  assert "ink left out" in run.request("class=3", count=4).note
  picture = pictures.draw(run, grid=["class", "ink"])
  assert picture.images.shape[:2] == (10, 5)
  with pytest.raises(DataError, match="class has no level '11'; there is 0, 1"):
    run.sample("class=11")
  with pytest.raises(DataError, match="ink is from -1 to 1; found 3"):
    run.sample("class=1,ink=3")
