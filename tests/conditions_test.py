"""Kinds of attributes and requests in words (cvae_jax/data/conditions)."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation
from sklearn.preprocessing import (
  MultiLabelBinarizer,
  OneHotEncoder,
  minmax_scale,
)

from cvae_jax.data import DataError
from cvae_jax.data.conditions import Conditions, kinds

RNG = np.random.default_rng(0)
N = 60
TABLE = {
  "shape": np.resize(["circle", "square", "triangle"], N),
  "smiling": np.resize(["no", "yes", "yes", "no", "no"], N),
  "tags": np.resize(["beach;night", "", "snow", "night"], N),
  "grade": np.resize(["low", "high", "mid", "low"], N),
  "size": RNG.uniform(0.2, 1.0, N),
  "angle": RNG.uniform(0, 360, N),
  "dose": 10 ** RNG.uniform(-1, 3, N),
}
ENTRIES = [
  {"name": "shape", "kind": "class"},
  {"name": "smiling", "kind": "binary"},
  {"name": "tags", "kind": "multilabel"},
  {"name": "grade", "kind": "ordinal", "levels": ["low", "mid", "high"]},
  {"name": "size", "kind": "number"},
  {"name": "angle", "kind": "angle"},
  {"name": "dose", "kind": "log"},
]
WHOLE = {
  "shape": "square",
  "smiling": "yes",
  "tags": "beach",
  "grade": "mid",
  "size": 0.5,
  "angle": 90,
  "dose": 20.0,
}


@pytest.fixture(scope="module")
def conditions():
  return Conditions.fit(ENTRIES, TABLE)


def part(conditions, name, values):
  one = Conditions((conditions.attribute(name),))
  return one.encode_table({name: values})


def test_a_class_is_one_hot_as_sklearn_has_it(conditions):
  column = TABLE["shape"][:, None]
  expected = OneHotEncoder(sparse_output=False).fit_transform(column)
  np.testing.assert_array_equal(
    part(conditions, "shape", TABLE["shape"]), expected
  )


def test_labels_are_multi_hot_as_sklearn_has_them(conditions):
  sets = [[w for w in text.split(";") if w] for text in TABLE["tags"]]
  expected = MultiLabelBinarizer().fit_transform(sets)
  np.testing.assert_array_equal(
    part(conditions, "tags", TABLE["tags"]), expected
  )


def test_a_number_is_scaled_as_sklearn_does(conditions):
  expected = minmax_scale(TABLE["size"], (-1, 1))[:, None]
  found = part(conditions, "size", TABLE["size"])
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_angle_is_a_rotated_unit_vector(conditions):
  turned = Rotation.from_rotvec(
    np.outer(TABLE["angle"], [0, 0, 1]), degrees=True
  )
  expected = turned.apply([1, 0, 0])[:, :2]
  found = part(conditions, "angle", TABLE["angle"])
  np.testing.assert_allclose(found, expected, atol=1e-6)
  again = part(conditions, "angle", TABLE["angle"] + 360)
  np.testing.assert_allclose(again, expected, atol=1e-5)


def test_an_ordinals_entries_add_up_to_its_rank(conditions):
  codes = pd.Categorical(TABLE["grade"], ["low", "mid", "high"], ordered=True)
  found = part(conditions, "grade", TABLE["grade"])
  assert found.shape == (N, 2)
  np.testing.assert_array_equal(found.sum(axis=1), codes.codes)
  np.testing.assert_array_equal(np.sort(found)[:, ::-1], found)


def test_a_binary_is_one_column_whatever_its_words(conditions):
  found = part(conditions, "smiling", ["yes", "no", 1, 0, "True", False])
  np.testing.assert_array_equal(found[:, 0], [1, 0, 1, 0, 1, 0])
  attribute = kinds.kind("binary").fit(
    {"name": "Male", "kind": "binary"}, ["1", "-1", "-1"]
  )
  assert attribute.levels == ("-1", "1")
  np.testing.assert_array_equal(attribute.encode([-1, 1])[:, 0], [0, 1])


@pytest.mark.parametrize("known_bits", [False, True])
def test_what_is_encoded_is_decoded(known_bits):
  conditions = Conditions.fit(ENTRIES, TABLE, known_bits)
  vectors = conditions.encode_table(TABLE)
  assert vectors.shape == (N, conditions.size)
  assert vectors.dtype == np.float32
  assert len(conditions.names) == conditions.size
  decoded = conditions.decode(vectors)
  for i, row in enumerate(decoded):
    for name in ("shape", "smiling", "tags", "grade"):
      assert row[name] == TABLE[name][i]
    assert row["size"] == pytest.approx(TABLE["size"][i], abs=1e-6)
    assert row["angle"] == pytest.approx(TABLE["angle"][i], abs=1e-3)
  columns = {name: [row[name] for row in decoded] for name in TABLE}
  np.testing.assert_allclose(
    conditions.encode_table(columns), vectors, atol=1e-6
  )


def test_the_entries_of_attributes_follow_one_another(conditions):
  places = [conditions.columns(name) for name in TABLE]
  assert [(p.start, p.stop) for p in places] == [
    (0, 3),
    (3, 4),
    (4, 7),
    (7, 9),
    (9, 10),
    (10, 12),
    (12, 13),
  ]


def test_conditions_are_restored_from_json(conditions):
  saved = json.loads(json.dumps(conditions.to_json()))
  restored = Conditions.from_json(saved)
  assert restored == conditions
  np.testing.assert_array_equal(restored.draw(20, 3), conditions.draw(20, 3))
  with pytest.raises(DataError, match="version 2"):
    Conditions.from_json(saved | {"version": 2})


def test_an_unknown_value_is_zero_and_its_bit_too():
  table = TABLE | {"size": [None, *TABLE["size"][1:]]}
  table["shape"] = ["", *TABLE["shape"][1:]]
  conditions = Conditions.fit(ENTRIES, table)
  assert conditions.known_bits
  first = conditions.encode_table(table)[0]
  assert not first[conditions.columns("size")].any()
  assert not first[conditions.columns("shape")].any()
  assert first[-7:].tolist() == [0, 1, 1, 1, 0, 1, 1]
  assert conditions.decode(first[None])[0]["size"] is None
  asked = conditions.encode(grade="high")
  assert asked[0, -7:].tolist() == [0, 0, 0, 1, 0, 0, 0]
  np.testing.assert_array_equal(
    asked, conditions.encode(grade="high", size=np.nan, shape=None)
  )


def test_a_number_in_the_middle_is_not_taken_for_unknown():
  conditions = Conditions.fit(ENTRIES[4:5], {"size": [0.0, 1.0, None]})
  known, unknown = conditions.encode(size=[0.5, None])
  assert known.tolist() == [0, 1]
  assert unknown.tolist() == [0, 0]


def test_without_known_bits_a_missing_value_is_refused(conditions):
  with pytest.raises(DataError, match="size: row 2 of 60 has no value"):
    conditions.encode_table(TABLE | {"size": [0.5, "", *TABLE["size"][2:]]})
  with pytest.raises(DataError, match="angle: no value was given"):
    conditions.encode({n: v for n, v in WHOLE.items() if n != "angle"})


def test_one_request_serves_the_rows_of_the_others(conditions):
  found = conditions.encode(WHOLE, size=[0.3, 0.4, 0.5])
  assert found.shape == (3, conditions.size)
  np.testing.assert_array_equal(found[0, :9], found[2, :9])
  assert conditions.encode(WHOLE).shape == (1, conditions.size)
  with pytest.raises(DataError, match="3 of size, 2 of shape"):
    conditions.encode(
      {k: v for k, v in WHOLE.items() if k not in ("size", "shape")},
      size=(0.3, 0.4, 0.5),
      shape=["circle", "square"],
    )


@pytest.mark.parametrize(
  ("request_", "said"),
  [
    ("shape=hexagon", "has no level 'hexagon'; there is circle, square"),
    ("shape=triangel", "did you mean triangle"),
    ("size=3", r"size is from 0\.\d+ to 0\.9\d+; found 3"),
    ("size=big", "size is a number; found 'big'"),
    ("colour=red", "no attribute 'colour'; shape is circle, square, triangle"),
    ("shape", "'shape' is not name=value; shape is circle"),
    ("size=0.5,size=0.6", "'size' comes twice"),
    ("grade=top", "low < mid < high"),
    ("tags=beach;sun", "has no level 'sun'; there is beach, night, snow"),
    ("smiling=maybe", "there is no, yes"),
    ("angle=north", "angle is a number"),
  ],
)
def test_a_wrong_request_says_what_there_is(conditions, request_, said):
  with pytest.raises(DataError, match=said) as error:
    conditions.parse(request_)
  assert "\n" not in str(error.value)


def test_requests_are_read_from_text(conditions):
  text = " shape=triangle, size=0.9,tags=beach;night,angle=-90"
  assert conditions.parse(text) == {
    "shape": "triangle",
    "size": "0.9",
    "tags": "beach;night",
    "angle": "-90",
  }
  whole = conditions.parse(",".join(f"{k}={v}" for k, v in WHOLE.items()))
  np.testing.assert_array_equal(
    conditions.encode(whole), conditions.encode(WHOLE)
  )


@pytest.mark.parametrize(
  ("text", "read"),
  [
    ("city=New York, NY, size=0.5", {"city": "New York, NY", "size": "0.5"}),
    ("size=0.5,city=York", {"size": "0.5", "city": "York"}),
    ("city=a=b,size=1", {"city": "a=b", "size": "1"}),
    ("lens, mm=50,a=b=no", {"lens, mm": "50", "a=b": "no"}),
    ("tags=salt, pepper; oil,a=b = yes", {"tags": "salt, pepper; oil"}),
  ],
)
def test_names_and_levels_may_have_commas_and_equals_signs(text, read):
  table = {
    "city": np.resize(["New York, NY", "York", "a=b"], N),
    "tags": np.resize(["salt, pepper", "oil", "salt, pepper;oil"], N),
    "a=b": np.resize(["yes", "no"], N),
    "lens, mm": np.resize([20.0, 50.0], N),
    "size": np.linspace(0, 1, N),
  }
  kinds_of = ("class", "multilabel", "binary", "number", "number")
  own = Conditions.fit(
    [{"name": n, "kind": k} for n, k in zip(table, kinds_of, strict=True)],
    pd.DataFrame(table),
  )
  assert own.parse(text).items() >= read.items()
  assert len(own.parse(text)) == 2
  with pytest.raises(DataError, match="did you mean New York, NY"):
    own.parse("city=New York,size=0.5")


def test_a_probe_changes_one_attribute_and_nothing_else(conditions):
  rows = conditions.encode_table(TABLE)
  counts = {"shape": 3, "smiling": 2, "tags": 4, "grade": 3}
  for name in TABLE:
    asked = conditions.probe(name, rows, 5)
    count = counts.get(name, 9)
    assert asked.shape == (5 * count, conditions.size)
    own = conditions.columns(name)
    assert len(np.unique(asked[:, own].round(5), axis=0)) == count
    others = np.delete(asked, own, axis=1)
    expected = np.repeat(np.delete(rows[:5], own, axis=1), count, axis=0)
    np.testing.assert_array_equal(others, expected)


def test_a_panel_of_many_attributes_has_ten_settings():
  names = [f"a{i}" for i in range(80)]
  entries = [{"name": name, "kind": "binary"} for name in names]
  found = Conditions.fit(entries, {n: ["no", "yes"] for n in names})
  panel = found.panel()
  assert panel.shape == (10, 80)
  assert (panel[0] == 0).all()
  assert (panel[-1] == 1).all()
  assert len(np.unique(panel, axis=0)) == 10


def test_a_value_that_is_left_empty_is_refused_where_all_are_known(conditions):
  known = conditions.encode(WHOLE)
  with pytest.raises(DataError, match=r"shape needs a value.*circle"):
    conditions.fill(known, {"shape": ""})
  with pytest.raises(DataError, match="size needs a value"):
    conditions.fill(known.repeat(3, axis=0), {"size": [None] * 3})


def test_an_ordinal_of_words_needs_their_order():
  entry = {"name": "grade", "kind": "ordinal"}
  with pytest.raises(DataError, match="needs their order"):
    Conditions.fit([entry], {"grade": ["low", "high", "mid"]})
  fitted = Conditions.fit([entry], {"grade": ["10", "2", "3"]})
  assert fitted.attribute("grade").levels == ("2", "3", "10")


def test_numbers_are_shown_so_that_they_differ():
  attribute = Conditions.fit(
    [{"name": "year", "kind": "number"}], {"year": [1990, 2010]}
  ).attribute("year")
  assert [attribute.text(y) for y in (1999, 2004)] == ["year 1999", "year 2004"]
  assert attribute.text(0.12345) == "year 0.123"
  assert attribute.text(359.6) == "year 359.6"


@pytest.mark.parametrize("seed", range(5))
def test_what_a_number_decodes_to_can_be_encoded(seed):
  low, high = np.sort(np.random.default_rng(seed).uniform(-50, 50, (200, 2))).T
  for ends in zip(low, high, strict=True):
    found = Conditions.fit([{"name": "a", "kind": "number"}], {"a": [*ends]})
    vectors = found.encode({"a": [*ends]})
    again = [row["a"] for row in found.decode(vectors)]
    np.testing.assert_allclose(found.encode({"a": again}), vectors, atol=1e-6)


def test_a_panel_shows_settings_that_can_be_asked_for(conditions):
  panel = conditions.panel()
  assert len(panel) <= 10
  assert len(np.unique(panel, axis=0)) == len(panel)
  columns = {n: [r[n] for r in conditions.decode(panel)] for n in TABLE}
  np.testing.assert_allclose(conditions.encode(columns), panel, atol=1e-6)
  assert set(columns["shape"]) == {"circle", "square", "triangle"}


def test_what_is_left_out_is_drawn_from_training_rows(conditions):
  drawn = conditions.draw(200, seed=1)
  rows = conditions.encode_table(TABLE)
  assert (drawn[:, None] == rows[None]).all(-1).any(-1).all()
  np.testing.assert_array_equal(drawn, conditions.draw(200, seed=1))


def test_held_out_numbers_may_lie_outside_the_range(conditions):
  found = part(conditions, "size", [2.0])
  assert found[0, 0] > 1


@pytest.mark.parametrize(
  ("kind", "values", "said"),
  [
    ("class", ["a", "a"], "all training rows have the value a"),
    ("class", [], "no training row has a value"),
    ("binary", ["a", "b", "c"], "binary, so it has two values; found a, b, c"),
    ("number", [1, "x"], "size is a number; found 'x'"),
    ("number", [1.0, np.inf], "size is a number; found inf"),
    ("angle", [5, 5], "all training rows have the value 5"),
    ("multilabel", ["a", "a"], "all training rows have all labels"),
    ("length", [1, 2], "no kind of attribute 'length'; there is class, binary"),
  ],
)
def test_values_that_are_not_of_the_kind_are_refused(kind, values, said):
  with pytest.raises(DataError, match=said):
    Conditions.fit([{"name": "size", "kind": kind}], {"size": values})


def test_a_level_without_a_training_row_is_an_error():
  entry = {"name": "grade", "kind": "ordinal", "levels": ["low", "mid", "top"]}
  with pytest.raises(DataError, match="top is in no training row"):
    Conditions.fit([entry], {"grade": ["low", "mid"]})
  with pytest.raises(DataError, match="high is none of its levels"):
    Conditions.fit([entry], {"grade": ["low", "mid", "top", "high"]})


def test_kinds_are_stated_in_a_line():
  text = "size=number, grade=ordinal:low<mid<high,age=number:0|100"
  assert kinds.parse(text + ",hour=angle:24,tags=multilabel:a|b") == {
    "size": {"name": "size", "kind": "number"},
    "grade": {
      "name": "grade",
      "kind": "ordinal",
      "levels": ["low", "mid", "high"],
    },
    "age": {"name": "age", "kind": "number", "range": [0.0, 100.0]},
    "hour": {"name": "hour", "kind": "angle", "period": 24.0},
    "tags": {"name": "tags", "kind": "multilabel", "levels": ["a", "b"]},
  }
  with pytest.raises(DataError, match="there is class, binary, multilabel"):
    kinds.parse("size=length")
  with pytest.raises(DataError, match=r"expected low\|high; found '1'"):
    kinds.parse("size=number:1")


@pytest.mark.parametrize(
  ("values", "period"), [([0, 3.1, 6.28], 2 * np.pi), ([-90, 0, 90], 360)]
)
def test_an_angle_has_the_period_that_its_values_show(values, period):
  fitted = kinds.KINDS["angle"].fit({"name": "turn"}, values)
  assert fitted.period == pytest.approx(period)


def test_an_angle_of_small_numbers_needs_its_period():
  shares = [0.0, 0.25, 0.75]  # nearly one and the same angle, in degrees
  with pytest.raises(DataError, match=r"turns.*say its period: hue=angle:1"):
    kinds.KINDS["angle"].fit({"name": "hue"}, shares)
  fitted = kinds.KINDS["angle"].fit({"name": "hue", "period": 1.0}, shares)
  quarter = [[1, 0], [0, 1], [0, -1]]
  np.testing.assert_allclose(fitted.encode(shares), quarter, atol=1e-6)
