"""A condition whose ratios count: a dose, a price (conditions/log.py)."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import minmax_scale

from cvae_jax import config, data
from cvae_jax.apps.page import controls as page_controls
from cvae_jax.data import DataError
from cvae_jax.data.conditions import Conditions, kinds
from cvae_jax.metrics import merits
from tests.prepare_images_test import prepare_images

DOSES = np.array([0.1, 0.3, 1.0, 20.0, 400.0, 1000.0])


@pytest.fixture(scope="module")
def conditions():
  return Conditions.fit([{"name": "dose", "kind": "log"}], {"dose": DOSES})


def test_the_logarithm_is_scaled_as_sklearn_does(conditions):
  found = conditions.encode_table({"dose": DOSES})
  expected = minmax_scale(np.log10(DOSES), (-1, 1))[:, None]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_dose_comes_back_from_its_entry(conditions):
  dose = conditions.attribute("dose")
  entries = dose.encode(DOSES)
  found = dose.decode(entries)
  np.testing.assert_allclose(found, DOSES, rtol=1e-5)
  np.testing.assert_allclose(dose.encode(found), entries, atol=1e-6)


def test_settings_grow_by_equal_factors_from_low_to_high(conditions):
  settings = np.array(conditions.attribute("dose").settings(5))
  np.testing.assert_allclose(settings, [0.1, 1, 10, 100, 1000])
  assert settings[0] == DOSES.min()
  assert settings[-1] == DOSES.max()


def test_what_the_entry_means_is_said(conditions):
  (said,) = conditions.attribute("dose").meanings
  assert said == (
    "-1 is 0.1, 1 is 1000, and in a straight line between their logarithms"
  )


@pytest.mark.parametrize("asked", [0.01, 1001])
def test_a_request_outside_the_range_is_refused(conditions, asked):
  with pytest.raises(DataError, match=r"dose is from 0\.1 to 1000; found"):
    conditions.encode({"dose": [asked]})


@pytest.mark.parametrize("bad", [0.0, -3.0])
def test_what_has_no_logarithm_is_refused(conditions, bad):
  with pytest.raises(DataError, match="dose is of kind log and so above 0"):
    kinds.kind("log").fit({"name": "dose", "kind": "log"}, [1.0, bad])
  with pytest.raises(DataError, match="dose is of kind log and so above 0"):
    conditions.encode({"dose": [bad]})


def test_its_entry_of_a_schema_restores_it():
  entry = kinds.parse("dose=log:0.1|1e4")["dose"]
  made = kinds.kind("log").fit(entry, DOSES)
  assert made.range == (0.1, 1e4)
  assert kinds.kind("log").from_entry(json.loads(json.dumps(made.entry()))) == (
    made
  )


def test_arrays_may_have_one():
  images = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8)
  found = data.from_arrays(
    images, {"dose": DOSES}, held_out=0, kinds={"dose": "log"}
  )
  decoded = found.conditions.decode(found.train["condition"])
  np.testing.assert_allclose(
    sorted(row["dose"] for row in decoded), DOSES, rtol=1e-5
  )


def test_a_page_s_slider_moves_by_equal_factors(conditions):
  values = page_controls._values(conditions.attribute("dose"))
  ratios = np.divide(values[1:], values[:-1])
  np.testing.assert_allclose(ratios, ratios[0], rtol=0.02)


def test_control_of_a_dose_is_scored_by_its_logarithm(conditions):
  dose = conditions.attribute("dose")
  asked = np.repeat(dose.encode(dose.settings(9)), 50, axis=0)
  noise = np.random.default_rng(0).normal(size=asked.shape)
  read = asked + 0.2 * noise  # in the unit of the table, R² is -0.8
  found = merits.score(dose, asked, read)
  logs = [np.log(dose.decode(entries)) for entries in (asked, read)]
  assert found["r_squared"] == pytest.approx(r2_score(*logs))
  assert found["r_squared"] > 0.9
  assert found["correlation"] == pytest.approx(np.corrcoef(*logs)[0, 1])
  error = mean_absolute_error(*logs)
  assert found["mean_absolute_error"] == pytest.approx(error)


@pytest.fixture
def folder(tmp_path):
  """Forty images and a table of doses, from 0.1 to 1,000."""
  doses = np.geomspace(0.1, 1000, 40)
  names = [f"{i}.png" for i in range(40)]
  for i, name in enumerate(names):
    Image.new("L", (8, 8), 6 * i).save(tmp_path / name)
  table = pd.DataFrame({"file": names, "dose": doses})
  table.to_csv(tmp_path / "labels.csv", index=False)
  return tmp_path


def prepare(folder, *more):
  """Prepare the images of a folder; return the entry of their attribute."""
  out = folder / "set"
  words = [f"--images={folder}", f"--table={folder / 'labels.csv'}"]
  assert prepare_images.main([*words, "--size=8", f"--out={out}", *more]) == 0
  (entry,) = json.loads((out / "schema.json").read_text())["attributes"]
  return entry


def test_a_prepared_set_trains_on_logarithms(folder, capsys):
  entry = prepare(folder, "--kind=dose=log", "--split=100,0,0")
  assert (entry["kind"], entry["range"]) == ("log", [0.1, 1000.0])
  assert "dose  log         0.1 to 1000" in capsys.readouterr().out
  vectors = data.load(
    config.load("images", {"data.path": str(folder / "set")}).data
  ).train["condition"]
  # Doses grow by equal factors, so entries by equal steps.
  np.testing.assert_allclose(
    np.sort(vectors[:, 0]), np.linspace(-1, 1, 40), atol=1e-5
  )


def test_a_crowded_range_is_said_to_want_a_logarithm(folder, capsys):
  assert prepare(folder)["kind"] == "number"
  said = capsys.readouterr().out
  assert "note: dose: half of its values lie in the lowest 1 % of its" in said
  assert "--kind dose=log" in said


@pytest.mark.parametrize(
  "values", [np.linspace(1, 900, 40), np.geomspace(0.1, 1000, 40) - 1]
)
def test_an_even_range_and_one_with_zeros_are_left_alone(
  folder, capsys, values
):
  table = pd.read_csv(folder / "labels.csv").assign(dose=values)
  table.to_csv(folder / "labels.csv", index=False)
  assert prepare(folder)["kind"] == "number"
  assert "dose=log" not in capsys.readouterr().out


def test_a_dose_of_0_is_refused_before_anything_is_written(folder, capsys):
  table = pd.read_csv(folder / "labels.csv")
  table.loc[3, "dose"] = 0
  table.to_csv(folder / "labels.csv", index=False)
  words = [f"--images={folder}", f"--table={folder / 'labels.csv'}"]
  words += [f"--out={folder / 'set'}", "--kind=dose=log"]
  assert prepare_images.main(words) == 1
  assert (
    "dose is of kind log and so above 0; found 0" in capsys.readouterr().err
  )
  assert not (folder / "set").exists()
