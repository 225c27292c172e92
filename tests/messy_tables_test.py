"""Tables as people have them: commas, placeholders, mistakes, odd names."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

from cvae_jax.data.conditions import classes
from cvae_jax.data.files import tables
from tests.prepare_images_test import draw, prepare

ROWS = 40


@pytest.fixture
def folder(tmp_path):
  for i in range(ROWS):
    draw(tmp_path / "in" / f"{i:03d}.png", 5 * i)
  return tmp_path


def set_of(folder, column, values, *more):
  """Prepare the images with one column; return its entry of the schema."""
  files = [f"{i:03d}.png" for i in range(ROWS)]
  table = pd.DataFrame({"file": files, column: values})
  table.to_csv(folder / "in" / "labels.csv", index=False)
  words = [f"--table={folder / 'in' / 'labels.csv'}", "--split=100,0,0"]
  assert prepare(folder / "in", folder / "out", *words, *more, "--force") == 0
  entries = json.loads((folder / "out" / "schema.json").read_text())
  return {entry["name"]: entry for entry in entries["attributes"]}.get(column)


def kind_that_is_advised(said):
  """Read the words behind --kind as a shell reads them."""
  return shlex.split(said.partition("--kind ")[2])[0]


def test_the_kind_that_is_advised_can_be_pasted(folder, capsys):
  name = "Dosis (mg/l)"
  doses = np.geomspace(0.1, 1000, ROWS)
  assert set_of(folder, name, doses)["kind"] == "number"
  kind = kind_that_is_advised(capsys.readouterr().out)
  assert kind == f"{name}=log"
  assert set_of(folder, name, doses, "--kind", kind)["kind"] == "log"
  words = [f"word {i}" for i in range(ROWS)]
  assert set_of(folder, name, words) is None
  kind = kind_that_is_advised(capsys.readouterr().out)
  assert kind == f"{name}=KIND"


@pytest.mark.parametrize(("ending", "separator"), [("csv", ";"), ("tsv", "\t")])
def test_numbers_with_decimal_commas_may_have_gaps(ending, separator):
  frame = pd.DataFrame({"a": [0.25, None, 3.0], "b": [2e-7, 1.5, None]})
  text = frame.to_csv(sep=separator, decimal=",", na_rep="NaN", index=False)
  found = tables.read(text.encode(), f"t.{ending}")
  assert found["a"].tolist() == ["0.25", "", "3.0"]
  assert found["b"].astype(object).tolist() == ["2e-07", "1.5", ""]


def test_words_keep_their_commas_and_so_do_thousands_of_a_tsv():
  found = tables.read(b"a;b\n0,5;x,y\n?;1,2\n", "t.csv")
  assert found["a"].tolist() == ["0,5", "?"]
  assert found["b"].tolist() == ["x,y", "1,2"]
  found = tables.read(b"a\tb\n1,234\t1,5\n12\t0,123\n", "t.tsv")
  assert found["a"].tolist() == ["1,234", "12"]
  assert found["b"].tolist() == ["1.5", "0.123"]


@pytest.mark.parametrize(
  "text",
  [
    "sep=;\r\nfile;size\r\na.png;0,5\r\nb.png;\r\n",
    "file;size;;\r\na.png;0,5;;\r\nb.png;;;\r\n",
    '"sep=;"\nfile;size\na.png;0,5\nb.png;\n',
  ],
)
def test_what_excel_adds_is_no_column(text):
  found = tables.read(text.encode(), "t.csv")
  assert found.to_dict("list") == {
    "file": ["a.png", "b.png"],
    "size": ["0.5", ""],
  }


def test_a_column_without_a_name_keeps_its_values():
  found = tables.read(b"file,\na.png,3\n", "t.csv")
  assert found.columns.tolist() == ["file", ""]


@pytest.mark.parametrize(
  ("values", "word"),
  [
    (["red", "blue", "unknown", "red"], "unknown"),
    (["red", "blue", "?", "red"], "?"),
    ([0, 1, -1, 1], "-1"),
    ([0.5, 0.25, -1, 0.75], "-1.0"),
  ],
)
def test_a_value_that_may_say_unknown_is_named(folder, capsys, values, word):
  set_of(folder, "x", np.tile(values, ROWS // 4))
  said = capsys.readouterr().out
  assert f"note: x: {word!r} is taken for a value, in 10 rows" in said


@pytest.mark.parametrize(
  "values", [[-1, 1, 1, -1], [-1, 0, 1, -2], ["no", "yes", "none", "no"]]
)
def test_usual_values_are_not_taken_for_unknown_ones(folder, capsys, values):
  set_of(folder, "x", np.tile(values, ROWS // 4))
  assert "is taken for a value" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [[37.0], [999.0] * 5, [-50.0]])
def test_a_range_that_a_few_values_stretch_is_named(folder, capsys, wrong):
  values = np.linspace(0.1, 0.9, ROWS)
  values[: len(wrong)] = wrong
  set_of(folder, "size", values)
  said = capsys.readouterr().out
  assert "note: size: nearly all of its values are from " in said
  assert "=log" not in said  # a logarithm would keep the mistake


def test_an_accent_has_one_spelling(folder):
  """As where a part of a table was written on a Mac."""
  composed, apart = "männlich", "ma\u0308nnlich"
  words = np.array([composed, apart, "weiblich", "weiblich"])[
    np.arange(ROWS) % 4
  ]
  levels = set_of(folder, "Gro\u0308ße", words, "--kind=Gro\u0308ße=class")
  assert levels is None  # the column's name has one spelling, too
  table = pd.read_csv(folder / "out" / "attributes.csv")
  assert set(table["Größe"]) == {composed, "weiblich"}


def test_a_person_of_two_spellings_is_in_one_split(folder):
  people = [f"Ju\u0308rgen {i // 2}" for i in range(ROWS)]
  people[::2] = [f"Jürgen {i // 2}" for i in range(0, ROWS, 2)]
  files = [f"{i:03d}.png" for i in range(ROWS)]
  table = pd.DataFrame({"file": files, "person": people, "x": ["a", "b"] * 20})
  table.to_csv(folder / "in" / "labels.csv", index=False)
  words = [f"--table={folder / 'in' / 'labels.csv'}", "--split=50,25,25"]
  more = ["--group=person"]
  assert prepare(folder / "in", folder / "out", *words, *more) == 0
  found = pd.read_csv(folder / "out" / "attributes.csv").set_index("file")
  splits = found["split"].loc[files].to_numpy()
  assert (splits[::2] == splits[1::2]).all()


@pytest.mark.parametrize("level", ["männlich", "ma\u0308nnlich"])
@pytest.mark.parametrize("asked", ["männlich", "ma\u0308nnlich"])
def test_a_level_is_found_in_either_spelling(level, asked):
  sex = classes.Class("sex", ("divers", level))
  assert sex.encode([asked, "divers"]).tolist() == [[0, 1], [1, 0]]
  both = classes.Class("sex", ("männlich", "ma\u0308nnlich"))  # an older set's
  assert both.ranks([asked]) == [both.levels.index(asked)]
