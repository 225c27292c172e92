"""Scores of representations: published definitions, recorded values, runs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax import runs
from cvae_jax.data import Dataset, load
from cvae_jax.data.conditions import Conditions
from cvae_jax.measures import representation as measure
from cvae_jax.metrics import representation as scores
from tests import small, small_zoo
from tests.representation_data import CASES, made

# What disentanglement_lib gave for the same arrays.
RECORDED = json.loads(
  (Path(__file__).parent / "representations.json").read_text()
)["scores"]


@pytest.mark.parametrize("name", CASES)
def test_mig_is_the_recorded_one(name):
  codes, factors, _, _ = made(name)
  found = scores.mig(codes, factors).mean()
  np.testing.assert_allclose(found, RECORDED[name]["mig"], rtol=1e-9)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_sap_is_the_recorded_one(name, real):
  found = scores.sap(*made(name), real).mean()
  expected = RECORDED[name]["sap_real" if real else "sap"]
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_dci_is_the_recorded_one():
  name = "redundant"
  found = scores.dci(*made(name))
  for key in ("disentanglement", "completeness", "informativeness"):
    np.testing.assert_allclose(found[key], RECORDED[name][key], atol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_factor_vae_s_score_is_the_recorded_one_up_to_chance(name):
  codes, factors, _, _ = made(name)
  found = scores.factor_score(codes, factors, votes=3000)
  share = RECORDED[name]["factor"]
  error = 4 * np.sqrt(share * (1 - share) / 3000) + 0.02
  assert abs(found - share) <= error


def test_information_is_the_sum_over_a_table_of_counts():
  codes, factors, _, _ = made("rotated")
  edges = np.linspace(codes[:, 1].min(), codes[:, 1].max(), 21)
  bins = np.clip(np.searchsorted(edges, codes[:, 1], "right") - 1, 0, 19)
  joint = np.zeros((20, 4))
  np.add.at(joint, (bins, factors[:, 1]), 1 / len(bins))
  apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
  there = joint > 0
  expected = (joint[there] * np.log(joint[there] / apart[there])).sum()
  found = scores.information(codes, factors)[1, 1]
  np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_importances_of_one_code_a_factor_are_perfectly_disentangled():
  found = scores.importance(np.diag([0.2, 1.0, 0.7]))
  assert found["disentanglement"] == pytest.approx(1.0, abs=1e-8)
  assert found["completeness"] == pytest.approx(1.0, abs=1e-8)
  found = scores.importance(np.ones((4, 3)))
  assert found["disentanglement"] == pytest.approx(0.0, abs=1e-8)
  assert found["completeness"] == pytest.approx(0.0, abs=1e-8)


def test_scores_that_need_two_latents_or_factors_are_none():
  codes, factors, test, told = made("aligned")
  assert scores.mig(codes[:, :1], factors) is None
  assert scores.sap(codes[:, :1], factors, test, told, False) is None
  assert scores.factor_score(codes, factors[:, :1]) is None
  found = scores.importance(np.ones((3, 1)))
  assert found["disentanglement"] is None
  assert found["completeness"] is not None


def test_a_collapsed_code_casts_no_vote():
  codes, factors, _, _ = made("aligned")
  codes = np.concatenate([codes, 1e-6 * codes[:, :1]], axis=1)
  assert scores.factor_score(codes, factors) == 1.0
  assert scores.factor_score(0 * codes, factors) == 0.0


def test_real_factors_are_cut_into_levels_of_as_many_rows():
  values = np.random.default_rng(0).normal(0, 1, (1000, 1))
  found = scores.levels(values, True)
  np.testing.assert_array_equal(np.bincount(found[:, 0]), np.full(10, 100))
  assert (np.diff(found[np.argsort(values[:, 0]), 0]) >= 0).all()


@pytest.mark.parametrize("share", [0.45, 0.95])
def test_rows_of_the_least_value_are_a_level_of_their_own(share):
  generator = np.random.default_rng(0)
  least = np.arange(1000) < 1000 * share
  values = np.where(least, 0.0, generator.uniform(1, 2, 1000))
  found = scores.levels(values[:, None], True)[:, 0]
  np.testing.assert_array_equal(found == 0, least)
  # Turned around, it is the greatest value.
  turned = scores.levels(-values[:, None], True)[:, 0]
  np.testing.assert_array_equal(turned == turned.max(), least)


def test_a_probe_tells_linear_factors_and_says_what_chance_is():
  codes, factors, test, told = made("aligned")
  first, *_ = scores.probe(codes, factors, test, told, False)
  share = np.bincount(told[:, 0]).max() / len(told)
  assert first["accuracy"] > 0.95
  assert first["chance"] <= share
  line, *_ = scores.probe(codes, factors, test, told, True)
  assert line["r2"] > 0.95
  noise, *_ = scores.probe(*made("noise"), False)
  assert abs(noise["accuracy"] - noise["chance"]) < 0.15


def test_an_angle_is_told_by_its_cosine_and_sine_wherever_it_begins():
  turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 8000)
  codes = np.stack([np.cos(turn), np.sin(turn)], axis=1)
  codes[:, 1] *= 3.0
  noise = np.random.default_rng(1).normal(0, 1, 8000)
  for begin in np.radians([0, 45, 200]):
    angle = np.angle(np.exp(1j * (turn + begin)))[:, None]
    rows = codes[::2], angle[::2], codes[1::2], angle[1::2]
    (found,) = scores.probe(*rows, True, True)
    assert found["r2"] == pytest.approx(1.0, abs=1e-5)
    # Each of the two codes tells half of the variance of a point on the circle.
    assert scores.sap(*rows, True, True)[0] == pytest.approx(0.0, abs=0.02)
    alone = np.stack([codes[:, 0], noise], axis=1)
    rows = alone[::2], angle[::2], alone[1::2], angle[1::2]
    assert scores.sap(*rows, True, True)[0] == pytest.approx(0.5, abs=0.02)


def dataset(known_bits=False):
  generator = np.random.default_rng(2)
  shape = generator.choice(["circle", "square"], 120)
  size = generator.uniform(0, 1, 120)
  table = {"shape": list(shape), "size": list(size)}
  if known_bits:
    table["size"][5] = None
  entries = [
    {"name": "shape", "kind": "class"},
    {"name": "size", "kind": "number"},
  ]
  conditions = Conditions.fit(entries, table)
  vectors = conditions.encode_table(table)
  image = np.zeros((120, 2, 2, 1), np.uint8)
  image[:, 0, 0, 0] = 200 * (shape == "square")
  image[:, 1, 1, 0] = 255 * size
  columns = {"image": image, "condition": vectors}
  halves = [{k: v[i::2] for k, v in columns.items()} for i in range(2)]
  return Dataset(*halves, conditions, "shapes")


def reader():
  """A run whose code is the two pixels that vary."""

  def encode(images, condition):
    pixels = images.reshape(len(images), -1) / 255.0
    return SimpleNamespace(mean=pixels[:, [0, 3]])

  system = SimpleNamespace(encode=True, columns={"image": (2, 2, 1)})
  config = SimpleNamespace(data={"labels": -1})
  return SimpleNamespace(
    folder="r", system=system, encode=encode, config=config
  )


def test_latents_are_scored_by_the_attributes_of_the_data():
  found = measure.score(reader(), dataset=dataset())
  assert found["factors"] == ["shape", "size"]
  assert found["of_factor"]["shape"]["accuracy"] == 1.0
  assert found["of_factor"]["size"]["r2"] > 0.99
  assert found["mig"] > 0.6
  assert found["factor_vae"] > 0.95
  assert any("linear probe, size (r2)" in x for x in measure.lines(found))


def test_an_angle_of_the_data_is_no_number_for_the_probe():
  turn = np.random.default_rng(2).uniform(0, 360, 400)
  conditions = Conditions.fit(
    [{"name": "turn", "kind": "angle"}], {"turn": list(turn)}
  )
  vectors = conditions.encode_table({"turn": list(turn)})
  image = np.zeros((400, 2, 2, 1), np.uint8)
  image[:, [0, 1], [0, 1], 0] = np.rint(127.5 * (vectors + 1))
  columns = {"image": image, "condition": vectors}
  halves = [{k: v[i::2] for k, v in columns.items()} for i in range(2)]
  found = measure.score(reader(), dataset=Dataset(*halves, conditions, "a"))
  assert found["of_factor"]["turn"]["r2"] > 0.99


def test_rows_with_an_unknown_value_are_left_out():
  found = measure.score(reader(), dataset=dataset(known_bits=True))
  assert sum(found["rows"]) == 119


def tagged(**rows):
  """1,200 images of a split, with tags at some of the training rows.

  A tag without training rows is in the first test rows.
  """
  total = 1200
  generator = np.random.default_rng(3)
  has = {tag: np.zeros((2, total), bool) for tag in rows}
  for tag, places in rows.items():
    has[tag][0][places] = True
    has[tag][1] = generator.random(total) < 0.5
  flat = {tag: both.reshape(-1) for tag, both in has.items()}
  cells = [
    ";".join(tag for tag in flat if flat[tag][i]) for i in range(2 * total)
  ]
  table = {"tags": cells}
  conditions = Conditions.fit([{"name": "tags", "kind": "multilabel"}], table)
  vectors = conditions.encode_table(table)
  image = generator.integers(0, 99, (2 * total, 2, 2, 1)).astype(np.uint8)
  image[next(iter(flat.values())), 0, 0, 0] += 100
  columns = {"image": image, "condition": vectors}
  halves = [{k: np.split(v, 2)[i] for k, v in columns.items()} for i in (0, 1)]
  return Dataset(*halves, conditions, "tags")


# Training rows that are not among the 1,000 of DCI's trees.
UNSEEN = sorted(set(range(1200)) - set(np.linspace(0, 1199, 1000).astype(int)))


def test_a_factor_of_one_level_where_something_is_fitted_is_left_out():
  half = np.arange(1200) % 2 == 0
  own = tagged(common=half, rare=UNSEEN[:3], absent=[], always=slice(None))
  found = measure.score(reader(), dataset=own)
  assert found["factors"] == ["tags:common"]
  assert set(found["left_out"]) == {"tags:rare", "tags:absent", "tags:always"}
  said = measure.lines(found)[-1]
  assert said.startswith("not scored: ")
  assert all(name in said for name in found["left_out"])
  alone = measure.score(reader(), dataset=tagged(common=half))
  assert alone["left_out"] == []
  assert "not scored" not in " ".join(measure.lines(alone))


def test_a_rare_factor_that_all_fits_see_is_scored():
  seen = [row for row in range(1200) if row not in UNSEEN]
  found = measure.score(reader(), dataset=tagged(rare=seen[5:8]))
  assert found["factors"] == ["tags:rare"]
  assert np.isfinite(found["mig"])


def test_where_every_factor_is_rare_the_error_names_them():
  with pytest.raises(runs.RunError, match=r"tags:rare the rows .* one level"):
    measure.score(reader(), dataset=tagged(rare=UNSEEN[:3]))


def test_a_split_without_a_row_that_knows_all_values_has_no_labels():
  whole = dataset(known_bits=True)
  blank = whole.conditions.blank(60)
  train = whole.train | {"condition": blank}
  own = Dataset(train, whole.test, whole.conditions, "shapes")
  with pytest.raises(runs.RunError, match="no labels"):
    measure.score(reader(), dataset=own)


def test_a_failed_representation_loses_no_other_score(
  data, tmp_path, monkeypatch, capsys
):
  run = small_zoo.untrained("vae", data, tmp_path)
  asked = {"workdir": str(run.folder), "samples": 0, "representation": True}

  def fail(*_):
    raise runs.RunError("one level only")

  monkeypatch.setattr(measure, "score", fail)
  monkeypatch.setattr(runs, "load", lambda *_: run)
  with pytest.raises(runs.RunError, match="one level only"):
    small.run_command("evaluate", **asked)
  held = json.loads((run.folder / "measures.json").read_text())["scores"]
  assert "elbo" in held["test"]
  assert "test elbo" in capsys.readouterr().out


def test_data_without_labels_say_so():
  whole = dataset()
  empty = Conditions(())
  halves = [{"image": s["image"]} for s in (whole.train, whole.test)]
  with pytest.raises(runs.RunError, match="no labels"):
    measure.score(reader(), dataset=Dataset(*halves, empty, "x"))


def test_a_run_s_latents_are_scored_by_digits_labels(data, tmp_path):
  run = small_zoo.untrained("vae", data, tmp_path)
  found = measure.score(run, dataset=load(run.config.data))
  assert found["factors"] == ["label"]
  probe = found["of_factor"]["label"]
  assert probe["accuracy"] > probe["chance"]
  assert found["dci"]["disentanglement"] is None  # of one factor
  assert found["dci"]["informativeness"] > probe["chance"]
