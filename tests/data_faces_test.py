"""Faces: conditions, splits and drawn faces do what they say."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cvae_jax import data
from cvae_jax.data import DataError, faces
from cvae_jax.data.faces import Conditions
from cvae_jax.data.files import prepared, splits
from cvae_jax.data.files.face_tables import CONDITIONS as NAMES

S = 16
RANGES = ((0.0, 1.0),) * len(NAMES)


def config(**changes):
  base = {
    "name": "faces",
    "source": "prepared",
    "path": "",
    "names": NAMES,
    "ranges": RANGES,
    "conditions": len(NAMES),
    "image_shape": (S, S, 3),
    "train_rows": 0,
    "split_column": "",
    "count": 20,
  }
  return SimpleNamespace(**(base | changes))


def write(folder, n=20, **columns):
  """Prepare n faces of S pixels; image i is all i."""
  table = pd.DataFrame(np.random.default_rng(0).random((n, 5)), columns=NAMES)
  table.insert(0, "file", [f"{i}.png" for i in range(n)])
  images = [np.full((S, S, 3), i, np.uint8) for i in range(n)]
  table = table.assign(**columns)
  prepared.write(folder, images, table, {"size": S})
  return str(folder), table


def shown(split):
  """Say which images a split has: see `write`."""
  return split["image"][:, 0, 0, 0].tolist()


@pytest.fixture
def conditions():
  vectors = np.random.default_rng(1).random((99, 5))
  return Conditions.fit(vectors, NAMES, RANGES)


def test_prepared_faces_keep_order_and_stay_on_disk(tmp_path):
  path, table = write(tmp_path / "set")
  loaded = data.load(config(path=path, train_rows=12))
  assert shown(loaded.train) == list(range(12))
  assert shown(loaded.test) == list(range(12, 20))
  for split, rows in ((loaded.train, slice(12)), (loaded.test, slice(12, 20))):
    assert isinstance(split["image"], np.memmap)
    assert split["image"].base is not None  # a view of the file
    assert split["condition"].dtype == np.float32
    expected = table[list(NAMES)].to_numpy(np.float32)[rows]
    np.testing.assert_array_equal(split["condition"], expected)


def test_a_run_s_conditions_say_which_rows_of_which_set_trained(tmp_path):
  first, table = write(tmp_path / "first")
  moved, _ = write(tmp_path / "moved")
  longer, _ = write(tmp_path / "longer", 21)
  other, _ = write(tmp_path / "other", mouth=table["mouth"][::-1].to_numpy())
  none = {"names": (), "ranges": (), "conditions": 0, "train_rows": 12}

  def known(path, **changes):
    return data.load(config(path=path, **(none | changes))).conditions

  assert known(first) == known(moved)
  assert known(first).rows == 12
  unlike = [known(first), known(longer), known(other)]
  unlike.append(known(first, train_rows=13))
  assert len({each.sha256 for each in unlike}) == 4


def test_conditions_of_a_run_that_did_not_know_its_rows_are_read(conditions):
  saved = conditions.to_json()
  del saved["rows"], saved["sha256"]
  assert Conditions.from_json(saved).quantiles == conditions.quantiles


def test_default_folder_and_default_split(tmp_path, monkeypatch):
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))
  write(tmp_path / f"faces_{S}")
  loaded = data.load(config())
  assert len(loaded.train["image"]) == 18
  assert data.load(config(train_rows=20)).test is None
  with pytest.raises(DataError, match=r"train_rows is 21; .* has 20 rows"):
    data.load(config(train_rows=21))


def test_one_image_cannot_be_split_but_can_train(tmp_path):
  table = pd.DataFrame({"file": ["a.jpg"]})
  with pytest.raises(
    DataError, match=r"here has one image, .* more are needed"
  ):
    faces._split(table, 0, "", "here")
  assert faces._split(table, 1, "", "here") == (slice(0, 1), slice(1, 1))


def test_config_from_json_is_the_same(tmp_path):
  path, _ = write(tmp_path)
  wanted = vars(config(path=path))
  saved = SimpleNamespace(**json.loads(json.dumps(wanted)))
  assert data.load(saved).conditions == data.load(config(path=path)).conditions


def test_names_choose_columns_and_their_order(tmp_path):
  path, table = write(tmp_path, age=np.arange(20.0))
  chosen = {
    "names": ("age", "eyes"),
    "ranges": ((0, 120), (0, 1)),
    "conditions": 2,
  }
  loaded = data.load(config(path=path, **chosen))
  np.testing.assert_array_equal(
    loaded.train["condition"], table[["age", "eyes"]].to_numpy("f4")[:18]
  )


def test_photos_without_attributes_serve_where_nothing_is_asked(tmp_path):
  table = pd.DataFrame({"file": ["a.png", "b.png", "c.png"]})
  images = [np.full((S, S, 3), i, np.uint8) for i in range(3)]
  prepared.write(tmp_path, images, table, {"size": S})
  nothing = {"names": (), "ranges": (), "conditions": 0}
  loaded = data.load(config(path=str(tmp_path), **nothing))
  assert loaded.train["condition"].shape == (2, 0)
  assert loaded.conditions.panel().shape == (1, 0)
  assert loaded.conditions.attributes == ()
  saved = json.loads(json.dumps(loaded.conditions.to_json()))
  assert Conditions.from_json(saved) == loaded.conditions


@pytest.mark.parametrize("rows", [0, 7, 12])
def test_groups_never_part(tmp_path, rows):
  person = np.random.default_rng(2).integers(0, 8, 40)
  path, _ = write(tmp_path, 40, person=person)
  wanted = {"path": path, "train_rows": rows, "split_column": "person"}
  loaded = data.load(config(**wanted))
  train = shown(loaded.train)
  test = shown(loaded.test)
  assert not {*person[train]} & {*person[test]}
  assert sorted(train + test) == list(range(40))
  assert train == sorted(train)
  assert len(train) <= (rows or 36)


def test_group_split_depends_on_groups_alone_and_views_what_lies_together():
  person = np.repeat(np.arange(6), 5)
  table = pd.DataFrame({"person": person})
  mixed = table.sample(frac=1, random_state=3)
  sides = []
  for rows in (table, mixed):
    train, _ = faces._split(rows, 25, "person", "")
    sides.append({*rows["person"].to_numpy()[train]})
  assert sides[0] == sides[1]
  assert len(sides[0]) == 5
  assert isinstance(splits.select(np.array([0, 1, 1, 1, 0], bool)), slice)
  assert splits.select(np.array([1, 0, 1], bool)).tolist() == [0, 2]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"source": "web"}, "one of prepared, synthetic; found 'web'"),
    ({"conditions": 4}, "conditions is 4, but names are 5: male, female"),
    ({"names": (*NAMES[:4], "hat")}, "no column 'hat'; it has file, male"),
    ({"names": ("male",) * 5}, "names differ from each other; found"),
    ({"ranges": RANGES[:4]}, "but 4 ranges"),
    ({"ranges": (0.0, 1.0)}, "ranges is (0.0, 1.0); expected a low and a high"),
    ({"ranges": ((0,),) * 5}, "expected a low and a high for each of"),
    ({"ranges": ((1, 1),) * 5}, "range of male: 1 is not below 1"),
    ({"ranges": ((0.0, 0.5),) * 5}, "expected a number in [0, 0.5]"),
    ({"image_shape": (32, 32, 3)}, "shape (16, 16, 3), expected (32, 32, 3)"),
    ({"image_shape": (16, 16, 1)}, "(S, S, 3) for faces; found (16, 16, 1)"),
    ({"split_column": "person"}, "no column 'person' to split by"),
    ({"split_column": "group"}, "no group of 'group' fits in 18"),
    ({"train_rows": -1}, "train_rows is -1"),
    ({"path": "nowhere"}, "prepare_faces.py --images=FOLDER_OR_ZIP"),
  ],
)
def test_load_refuses(tmp_path, changes, message):
  path, _ = write(tmp_path, group=0)
  with pytest.raises(DataError, match=re.escape(message)):
    data.load(config(**({"path": path} | changes)))


@pytest.mark.parametrize("wrong", [1.5, -0.1, np.nan])
def test_values_outside_are_located(tmp_path, wrong):
  mouth = np.full(20, 0.5)
  mouth[7] = wrong
  path, _ = write(tmp_path, mouth=mouth)
  message = rf"attributes.csv: row 8 \(7.png\), column 'mouth': found {wrong}"
  with pytest.raises(DataError, match=message):
    data.load(config(path=path))


def test_encode_orders_fills_and_broadcasts(conditions):
  one = conditions.encode(eyes=0.5, male=1, mouth=0.25, hair_color=0.75)
  assert one.tolist() == [[1, 0, 0.75, 0.25, 0.5]]
  assert one.dtype == np.float32
  sweep = {"female": 0.25, "hair_color": 0.5, "mouth": [0, 0.5, 1], "eyes": 1}
  rows = conditions.encode(sweep, eyes=0)  # named values win
  assert rows.shape == (3, conditions.size)
  assert rows[:, :2].tolist() == [[0.75, 0.25]] * 3
  assert rows[:, 3:].tolist() == [[0, 0], [0.5, 0], [1, 0]]
  both = conditions.encode(sweep | {"male": 1})  # asked for, so not changed
  assert both[0, :2].tolist() == [1, 0.25]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"mouth": 1.5}, "mouth 1.5 is outside [0, 1]"),
    ({"mouth": [0, float("nan")]}, "mouth nan is outside"),
    ({"hat": 1}, "missing or unknown: hat; the conditions are male, female"),
    ({"mouth": [0, 1], "eyes": [0, 0, 1]}, "mouth (2,), eyes (3,)"),
    ({"mouth": [[0]]}, "(1, 1)"),
  ],
)
def test_encode_refuses(conditions, changes, message):
  good = {"male": 1, "hair_color": 0, "mouth": 0, "eyes": 0}
  with pytest.raises(DataError, match=re.escape(message)):
    conditions.encode(good | changes)
  with pytest.raises(DataError, match="missing or unknown: eyes"):
    conditions.encode(male=0, hair_color=0, mouth=0)


def test_panel_varies_three_conditions_within_training(conditions):
  panel = conditions.panel()
  quantiles = np.array(conditions.quantiles, np.float32)
  assert panel.shape == (8, 5)
  assert panel[:, 0].tolist() == [1] * 4 + [0] * 4
  np.testing.assert_array_equal(panel[:, 1], 1 - panel[:, 0])
  np.testing.assert_array_equal(panel[:, 2], np.repeat(quantiles[2, 1], 8))
  for column, repeat in ((3, 2), (4, 1)):
    low, _, high = quantiles[column]
    steps = np.tile(np.repeat([low, high], repeat), 4 // repeat)
    np.testing.assert_array_equal(panel[:, column], steps)


@pytest.mark.parametrize("names", [("age",), ("hair", "male"), tuple("abcd")])
def test_panel_of_other_names(names):
  vectors = np.random.default_rng(1).random((99, len(names)))
  found = Conditions.fit(vectors, names, ((0, 1),) * len(names)).panel()
  assert found.shape == (2 ** min(3, len(names)), len(names))
  assert len(np.unique(found, axis=0)) == len(found)


def test_conditions_survive_json_and_hold_training_quantiles(conditions):
  text = json.dumps(conditions.to_json())
  assert Conditions.from_json(json.loads(text)) == conditions
  x = np.random.default_rng(1).random((99, 5))
  for i, row in enumerate(conditions.quantiles):
    ordered = np.sort(x[:, i])  # 98 gaps: 5 % lies between ranks 4 and 5
    assert row[1] == ordered[49]
    assert ordered[4] <= row[0] <= ordered[5]
    assert ordered[93] <= row[2] <= ordered[94]


def test_synthetic_source_needs_no_files_and_holds_out_a_tenth():
  loaded = data.load(config(source="synthetic", train_rows=2976))
  assert [len(split["image"]) for split in loaded[:2]] == [18, 2]
  assert loaded.train["image"].shape[1:] == (S, S, 3)
  assert loaded.conditions.size == 5


def test_what_few_have_can_be_asked_for():
  rows = np.zeros((100, 2))
  rows[:3, 0], rows[:50, 1] = 1, 1
  found = Conditions.fit(rows, ("Bald", "Male"), ((0, 1),) * 2)
  assert found.quantiles[0] == (0, 0, 0)
  assert found.ends("Bald").tolist() == [[0], [1]]
  assert len(np.unique(found.panel(), axis=0)) == 4
  asked = found.probe("Bald", rows, 2)
  assert (asked[0, 0], asked[8, 0]) == (0, 1)


def test_rows_in_the_order_of_a_column_get_a_warning(tmp_path, capsys):
  path, _ = write(tmp_path / "sorted", 60, age=np.arange(60))
  data.load(config(path=path))
  assert (
    "held-out rows differ in age: rows are sorted" in capsys.readouterr().out
  )
  path, _ = write(tmp_path / "mixed", 60, age=np.arange(60) * 7 % 60)
  data.load(config(path=path))
  assert capsys.readouterr().out == ""


def test_people_of_both_splits_are_counted(tmp_path, capsys):
  path, _ = write(tmp_path, 40, person=np.arange(40) % 10)
  data.load(config(path=path))
  assert "4 of 4 held-out rows show a person" in capsys.readouterr().out
  data.load(config(path=path, split_column="person"))
  assert "person" not in capsys.readouterr().out


def test_a_class_folder_that_only_is_held_out_gets_a_warning(tmp_path, capsys):
  names = [f"{'ab'[i >= 36]}/{i}.png" for i in range(40)]
  path, _ = write(tmp_path, 40, file=names)
  data.load(config(path=path))
  assert "all of folder b is held out" in capsys.readouterr().out


def test_a_condition_that_is_not_scaled_is_named(tmp_path, capsys):
  age = np.arange(40.0) * 7 % 40
  path, _ = write(tmp_path, 40, age=age)
  chosen = {"names": ("age",), "ranges": ((0, 116),), "conditions": 1}
  loaded = data.load(config(path=path, **chosen))
  assert "age conditions unscaled" in capsys.readouterr().out
  assert loaded.train["condition"][:, 0].tolist() == age[:36].tolist()


def test_new_sets_with_people_part_none_unless_told_to(tmp_path, capsys):
  path, _ = write(tmp_path, 40, person=np.arange(40) % 10)
  mark = tmp_path / prepared.MARK
  old = data.load(config(path=path))  # whose prepared.json does not say so
  info = json.loads(mark.read_text())
  mark.write_text(json.dumps(info | {"split_column": "person"}))
  capsys.readouterr()
  new = data.load(config(path=path))
  assert "all images of a person are in one split" in capsys.readouterr().out
  asked = data.load(config(path=path, split_column="person"))
  assert new.identity() == asked.identity() != old.identity()
  none = data.load(config(path=path, split_column="none"))
  assert none.identity() == old.identity()
  assert "warning: " in capsys.readouterr().out


def test_an_error_of_a_wide_column_says_how_to_scale_it(tmp_path):
  path, _ = write(tmp_path, 40, age=np.arange(40.0))
  chosen = {"names": ("age",), "ranges": ((0, 1),), "conditions": 1}
  with pytest.raises(DataError, match=r"Divide the column by 39 in the table"):
    data.load(config(path=path, **chosen))
