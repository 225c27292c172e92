"""Any images become a set: classes, tables, kinds, splits, and what is said."""

import importlib.util
import json
import os
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax import config, data
from cvae_jax.data import DataError
from cvae_jax.data.conditions import binary
from cvae_jax.data.files import infer_kinds, prepared, schema as schemas

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location(
  "prepare_images", ROOT / "data" / "prepare_images.py"
)
prepare_images = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(prepare_images)


def prepare(images, out, *more):
  options = [f"--images={images}", f"--out={out}", "--size=8", *more]
  return prepare_images.main(options)


def draw(path, level=0, size=(8, 8), mode="RGB"):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new(mode, size, level if mode == "L" else (level, 0, 9)).save(path)


def classes(folder, names=("ant", "bee", "cow"), count=20, **how):
  for i, name in enumerate(names):
    for j in range(count):
      draw(folder / name / f"{j:03d}.png", 10 * i + j, **how)
  return folder


def read(out):
  images, table, info = prepared.read(out, text=True)
  schema = json.loads((out / "schema.json").read_text())["attributes"]
  return images, table, {entry["name"]: entry for entry in schema}, info


def table_of(path, **columns):
  pd.DataFrame(columns).to_csv(path, index=False)
  return path


def test_a_folder_for_each_class_is_a_set_of_one_class_attribute(tmp_path):
  classes(tmp_path / "in")
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  images, table, schema, _ = read(tmp_path / "out")
  assert images.shape == (60, 8, 8, 3)
  assert schema["class"]["levels"] == ["ant", "bee", "cow"]
  for file, name, image in zip(
    table["file"], table["class"], images, strict=True
  ):
    folder, number = file.split("/")
    assert folder == name
    level = 10 * ["ant", "bee", "cow"].index(name) + int(number[:3])
    assert image[0, 0, 0] == level


def test_a_class_may_have_a_semicolon_or_blanks_at_its_ends(tmp_path, capsys):
  classes(tmp_path / "in", ("cats;dogs", "emus ", " gnus"))
  levels = ["cats;dogs", "emus", "gnus"]
  assert prepare(tmp_path / "in", tmp_path / "one") == 0
  said = "class       3 levels: cats;dogs 20, emus 20, gnus 20"
  assert said in capsys.readouterr().out
  assert prepare(tmp_path / "in", tmp_path / "two", "--folders=animal") == 0
  pixels = np.zeros((60, 8, 8), np.uint8)
  words = np.repeat(["cats;dogs", "emus ", " gnus"], 20)
  np.savez(tmp_path / "a.npz", images=pixels, labels=words)
  path = tmp_path / "a.npz"
  assert prepare(path, tmp_path / "three", "--kind=class=class") == 0
  for out, name in (("one", "class"), ("two", "animal"), ("three", "class")):
    _, table, schema, _ = read(tmp_path / out)
    assert schema[name]["levels"] == levels
    assert table[name].value_counts().to_dict() == dict.fromkeys(levels, 20)
    page = config.load("images", {"data.path": str(tmp_path / out)})
    conditions = data.load(page.data).conditions
    assert conditions.attribute(name).levels == tuple(levels)


def test_every_class_is_in_every_split_in_its_share(tmp_path):
  classes(tmp_path / "in")
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  _, table, _, _ = read(tmp_path / "out")
  counts = table.groupby(["split", "class"]).size().unstack()
  assert counts.loc["train"].between(15, 17).all()
  assert counts.loc[["valid", "test"]].stack().between(1, 3).all()
  # The rows of a split lie together, so that a split is a slice of the file.
  assert (table["split"] != table["split"].shift()).sum() == 3


def test_another_seed_draws_another_split_and_the_same_seed_the_same(tmp_path):
  classes(tmp_path / "in")
  files = []
  for out, seed in (("a", 0), ("b", 0), ("c", 1)):
    assert prepare(tmp_path / "in", tmp_path / out, f"--seed={seed}") == 0
    files.append(read(tmp_path / out)[1]["file"].tolist())
  assert files[0] == files[1]
  assert sorted(files[0]) == sorted(files[2])
  assert files[0] != files[2]


@pytest.mark.parametrize("around", ["", "archive/data/"])
def test_folders_named_train_and_test_are_the_split(tmp_path, around):
  for split, count in (("training", 20), ("testing", 6)):
    classes(tmp_path / "in" / around / split, ("0", "1", "10"), count)
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  _, table, schema, _ = read(tmp_path / "out")
  assert schema["class"]["levels"] == ["0", "1", "10"]
  test = table[table["split"] == "test"]
  assert len(test) == 18
  assert test["file"].str.contains("testing/").all()
  # The files have no validation rows, so some of the training rows serve.
  assert (table["split"] == "valid").sum() == 6


def tagged(folder, counts):
  """Draw images in folders; return the rows of a table that names them."""
  names = [f"{s}/{i:02d}.png" for s, n in counts.items() for i in range(n)]
  for i, name in enumerate(names):
    draw(folder / name, i)
  return {"file": names, "tag": ["a", "b"] * (len(names) // 2)}


def test_folders_named_train_and_test_are_the_split_of_a_table_too(tmp_path):
  rows = tagged(tmp_path / "in", {"train": 40, "val": 6, "test": 10})
  table = table_of(tmp_path / "in" / "metadata.csv", **rows)
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  _, found, schema, _ = read(tmp_path / "out")
  assert list(schema) == ["tag"]
  said = found["file"].str.split("/").str[0].replace({"val": "valid"})
  assert found["split"].tolist() == said.tolist()

  # What the table or the user says of it comes first.
  drawn = ["--split=50,25,25", f"--table={table}"]
  assert prepare(tmp_path / "in", tmp_path / "drawn", *drawn) == 0
  counts = read(tmp_path / "drawn")[1]["split"].value_counts()
  assert counts.to_dict() == {"train": 28, "valid": 14, "test": 14}
  table_of(table, **rows, split=["valid", "train", "train", "test"] * 14)
  assert prepare(tmp_path / "in", tmp_path / "own") == 0
  found = read(tmp_path / "own")[1]
  assert found.set_index("file")["split"]["train/00.png"] == "valid"


def test_a_table_in_each_folder_of_images_is_joined(tmp_path, capsys):
  counts = {"train": 40, "validation": 6, "test": 10}
  for i, (split, count) in enumerate(counts.items()):
    rows = tagged(tmp_path / "in", {split: count})
    rows["file_name"] = [name.split("/")[1] for name in rows.pop("file")]
    rows["size"] = [f"{i}.{row:02d}" for row in range(count)]
    table_of(tmp_path / "in" / split / "metadata.csv", **rows)
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  assert "attributes are those of test/metadata.csv" in capsys.readouterr().out
  _, found, schema, _ = read(tmp_path / "out")
  assert {name: entry["kind"] for name, entry in schema.items()} == {
    "tag": "class",
    "size": "number",
  }
  assert len(found) == 56
  for file, split, size in found[["file", "split", "size"]].itertuples(
    index=False
  ):
    folder, row = file.removesuffix(".png").split("/")
    assert size == f"{list(counts).index(folder)}.{row}"
    assert split == folder.replace("validation", "valid")


def test_tables_of_several_names_are_not_joined(tmp_path, capsys):
  for split in ("train", "test"):
    rows = tagged(tmp_path / "in", {split: 20})
    table_of(tmp_path / "in" / split / f"{split}.csv", **rows)
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  assert "--table=NAME uses one" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "Free.\n", "a,b\nc\n", "x,y\n1,2\n"])
def test_texts_of_one_name_that_are_no_tables_are_left_alone(tmp_path, text):
  folder = classes(tmp_path / "in")
  for name in ("ant", "bee", "cow"):
    (folder / name / "about.txt").write_text(text)
  assert prepare(folder, tmp_path / "out") == 0
  assert list(read(tmp_path / "out")[2]) == ["class"]


def test_images_that_all_lie_in_train_are_split_where_a_table_names_them(
  tmp_path,
):
  table_of(tmp_path / "labels.csv", **tagged(tmp_path / "in", {"train": 40}))
  named = f"--table={tmp_path / 'labels.csv'}"
  assert prepare(tmp_path / "in", tmp_path / "out", named) == 0
  assert set(read(tmp_path / "out")[1]["split"]) == {"train", "valid", "test"}


def test_nested_folders_are_one_class_or_an_attribute_a_level(tmp_path):
  for shape in ("disc", "ring"):
    classes(tmp_path / "in" / shape, ("blue", "red"), 6)
  assert prepare(tmp_path / "in", tmp_path / "one") == 0
  assert read(tmp_path / "one")[2]["class"]["levels"] == [
    *("disc/blue", "disc/red", "ring/blue", "ring/red")
  ]
  levels = "--folders=shape,colour"
  assert prepare(tmp_path / "in", tmp_path / "two", levels) == 0
  schema = read(tmp_path / "two")[2]
  assert schema["shape"]["levels"] == ["disc", "ring"]
  assert schema["colour"]["levels"] == ["blue", "red"]


def test_a_table_gives_kinds_by_what_its_columns_hold(tmp_path, capsys):
  count = 60
  for i in range(count):
    draw(tmp_path / "in" / f"{i}.png", i)
  rows = np.arange(count)
  path = table_of(
    tmp_path / "t.csv",
    id=rows,
    file=[f"{i}.png" for i in rows],
    shape=np.array(["disc", "ring", "star"])[rows % 3],
    smiling=rows % 2,
    size=(rows / 59).round(3),
    angle=rows * 6.0,
    hue=(rows / 60).round(3),  # shares of a turn, and no degrees
    tags=np.array(["sea;sun", "sun", "", "snow;sea"])[rows % 4],
    note=[f"word {i}" for i in rows],
    grade=np.array(["low", "mid", "high"])[rows // 20],
    one="same",
  )
  kind = "--kind=grade=ordinal:low<mid<high"
  out = tmp_path / "out"
  assert prepare(tmp_path / "in", out, f"--table={path}", kind) == 0
  _, table, schema, _ = read(out)
  assert {name: entry["kind"] for name, entry in schema.items()} == {
    "shape": "class",
    "smiling": "binary",
    "size": "number",
    "angle": "angle",
    "hue": "number",
    "tags": "multilabel",
    "grade": "ordinal",
  }
  assert schema["smiling"]["levels"] == ["0", "1"]
  assert schema["tags"]["levels"] == ["sea", "snow", "sun"]
  assert schema["grade"]["levels"] == ["low", "mid", "high"]
  assert schema["angle"]["period"] == 360
  train = table[table["split"] == "train"]["size"].astype(float)
  assert schema["size"]["range"] == [train.min(), train.max()]
  said = capsys.readouterr().out
  assert "note: left out (60 different words in 60 rows)" in said
  assert "one: left out (all rows have same)" in said
  assert "id: left out (counts the rows)" in said
  assert "no label in 15 rows (25.0%)" in said
  assert "missing" not in said


def test_an_empty_cell_is_missing_but_of_a_multilabel_it_is_no_label():
  table = pd.DataFrame({"size": ["", "1"], "tags": ["", "sea"]})
  entries = [
    {"name": "size", "kind": "number", "range": [0, 1]},
    {"name": "tags", "kind": "multilabel", "levels": ["sea"]},
  ]
  size, tags = schemas.summary(entries, table)
  assert size.endswith("missing in 1 rows (50.0%)")
  assert tags.endswith("no label in 1 rows (50.0%)")


def test_the_written_schema_holds_what_kind_asks_for(tmp_path):
  classes(tmp_path / "in", ("1", "2", "3"))
  out = tmp_path / "out"
  assert prepare(tmp_path / "in", out, "--kind=class=number:0|5") == 0
  expected = {"name": "class", "kind": "number", "range": [0.0, 5.0]}
  assert read(out)[2] == {"class": expected}


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    ("class=colour", "no kind of attribute 'colour'; there is class"),
    ("klass=number", "no column 'klass'; there is class"),
    ("class=number", "row 1 has 'ant', expected a number"),
    ("class=binary", "found 3 values: ant, bee, cow"),
    ("class=ordinal", "needs the order of its levels"),
    ("class=ordinal:ant<bee", "found 'cow', which is none of its levels"),
    ("class=number:x|1", "expected low|high"),
    ("class=number,class=class", "comes twice"),
  ],
)
def test_a_kind_that_does_not_fit_is_one_line(tmp_path, capsys, kind, message):
  classes(tmp_path / "in", count=2)
  assert prepare(tmp_path / "in", tmp_path / "out", f"--kind={kind}") == 1
  said = capsys.readouterr().err
  assert message in said
  assert said.count("\n") == 1
  assert not (tmp_path / "out").exists()


def test_a_group_is_in_one_split_and_no_attribute(tmp_path):
  for i in range(60):
    draw(tmp_path / "in" / f"{i}.png", i)
  rows = np.arange(60)
  path = table_of(
    tmp_path / "t.csv",
    file=[f"{i}.png" for i in rows],
    person=[f"p{i // 4}" for i in rows],
    mood=np.array(["glad", "sad"])[rows % 2],
  )
  out = tmp_path / "out"
  more = (f"--table={path}", "--group=person", "--split=60,20,20")
  assert prepare(tmp_path / "in", out, *more) == 0
  _, table, schema, _ = read(out)
  assert list(schema) == ["mood"]
  number = table["file"].str.removesuffix(".png").astype(int)
  assert (table.groupby(number // 4)["split"].nunique() == 1).all()
  assert table["split"].value_counts().to_dict() == {
    **{"train": 36, "valid": 12, "test": 12}
  }


@pytest.mark.parametrize("source", ["column", "table", "arrays"])
def test_a_group_in_two_splits_that_the_files_say_is_an_error(
  tmp_path, capsys, source
):
  names = {"column": "part", "table": "split", "arrays": "split"}
  people = np.array([f"p{i // 3}" for i in range(12)])
  rows = {
    "file": [f"{i}.png" for i in range(12)],
    "person": people,
    names[source]: ["train"] * 6 + ["valid"] * 3 + ["test"] * 3,
  }
  more = ["--group=person"]
  if source == "column":
    more += ["--split=part", "--kind=part=ignore"]
  for i in range(12):
    draw(tmp_path / "in" / f"{i}.png", i)

  def prepare_rows(out):
    if source == "arrays":
      parts = {"train": slice(0, 6), "val": slice(6, 9), "test": slice(9, 12)}
      arrays = {}
      for split, part in parts.items():
        arrays[f"{split}_images"] = np.zeros((12, 8, 8), np.uint8)[part]
        arrays[f"{split}_person"] = rows["person"][part]
      np.savez(tmp_path / "a.npz", **arrays)
      return prepare(tmp_path / "a.npz", tmp_path / out, *more)
    table = table_of(tmp_path / "t.csv", **rows)
    return prepare(tmp_path / "in", tmp_path / out, f"--table={table}", *more)

  assert prepare_rows("whole") == 0
  table = read(tmp_path / "whole")[1]
  assert table["split"].value_counts().to_dict() == {
    **{"train": 6, "valid": 3, "test": 3}
  }
  rows["person"] = people.copy()
  rows["person"][[7, 10]] = "p1"  # which trains
  capsys.readouterr()
  assert prepare_rows("out") == 1
  said = capsys.readouterr().err
  assert "--group=person: p1 has rows in train and in valid, as " in said
  assert f"{names[source]!r} says; expected" in said
  assert said.count("\n") == 1
  assert not (tmp_path / "out").exists()
  more.append("--split=50,25,25")  # the last of equal options
  assert prepare_rows("out") == 0


def test_a_column_may_say_the_split(tmp_path):
  for i in range(12):
    draw(tmp_path / "in" / f"{i}.png", i)
  part = ["train", "val", "test", "training"] * 3
  path = table_of(
    tmp_path / "t.csv",
    file=[f"{i}.png" for i in range(12)],
    part=part,
    mood=["glad"] * 6 + ["sad"] * 6,
  )
  out = tmp_path / "out"
  more = (f"--table={path}", "--split=part")
  assert prepare(tmp_path / "in", out, *more) == 0
  table = read(out)[1].set_index("file")["split"]
  for i, word in enumerate(part):
    expected = {"val": "valid", "training": "train"}.get(word, word)
    assert table[f"{i}.png"] == expected


def test_a_class_without_a_training_row_is_an_error_elsewhere_a_warning(
  tmp_path, capsys
):
  for i in range(8):
    draw(tmp_path / "in" / f"{i}.png", i)
  columns = {
    "file": [f"{i}.png" for i in range(8)],
    "kind": [*"aaaabbcb"],
    "split": ["train"] * 6 + ["valid", "test"],
  }
  path = table_of(tmp_path / "t.csv", **columns)
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={path}") == 1
  assert "kind: c has no training row" in capsys.readouterr().err
  columns["kind"] = [*"aaaabbab"]
  path = table_of(tmp_path / "t.csv", **columns)
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={path}") == 0
  assert "warning: kind: no test row has a" in capsys.readouterr().out


def test_a_rare_class_trains_before_it_is_held_out(tmp_path):
  classes(tmp_path / "in", ("common",), 40)
  classes(tmp_path / "in", ("rare", "rarest"), 1)
  for seed in range(5):
    out = tmp_path / f"out{seed}"
    assert prepare(tmp_path / "in", out, f"--seed={seed}") == 0
    table = read(out)[1]
    rare = table[table["class"].isin(["rare", "rarest"])]
    assert (rare["split"] == "train").all()


def test_one_name_of_two_files_and_one_file_of_two_rows_are_refused(
  tmp_path, capsys
):
  draw(tmp_path / "in" / "red" / "001.png", 1)
  draw(tmp_path / "in" / "blue" / "001.png", 2)
  path = table_of(tmp_path / "t.csv", file=["001.png"], mood=["sad"])
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={path}") == 1
  assert "2 files 001.png: blue/001.png, red/001.png" in capsys.readouterr().err
  names = ["red/001.png", "blue/001.png", "red/001.png"]
  path = table_of(tmp_path / "t.csv", file=names, mood=["sad", "sad", "glad"])
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={path}") == 1
  said = capsys.readouterr().err
  assert "rows 1 and 3 name one image, red/001.png" in said


def _zip(folder, path):
  with zipfile.ZipFile(path, "w") as archive:
    for file in sorted(folder.rglob("*.*")):
      archive.write(file, file.relative_to(folder))


def _tar(folder, path):
  mode = "w:gz" if path.suffix == ".gz" else "w"
  with tarfile.open(path, mode) as archive:
    archive.add(folder, ".")


@pytest.mark.parametrize(
  ("name", "pack"), [("a.zip", _zip), ("a.tar", _tar), ("a.tar.gz", _tar)]
)
def test_an_archive_with_its_table_is_as_its_folder(tmp_path, name, pack):
  source = classes(tmp_path / "in", count=5)
  files = [f"{c}/{i:03d}.png" for c in ("ant", "bee", "cow") for i in range(5)]
  table_of(source / "labels.csv", file=files, mood=["sad", "glad", "calm"] * 5)
  pack(source, tmp_path / name)
  for place in (source, tmp_path / name):
    assert prepare(place, tmp_path / f"out_{place.name}") == 0
  (first, table, schema, _), (second, other, same, _) = (
    read(tmp_path / f"out_{place}") for place in ("in", name)
  )
  np.testing.assert_array_equal(first, second)
  assert table.equals(other)
  assert schema == same
  assert [*schema] == ["mood"]


@pytest.mark.parametrize(
  "damage",
  [
    lambda content, place: content[:place] + b"x" + content[place + 1 :],
    lambda content, place: content[:place],  # between two files
    lambda content, place: content[:place] + bytes(100),
  ],
)
def test_a_tar_that_ends_early_is_refused(tmp_path, capsys, damage):
  # tarfile itself takes a damaged header for the end, in silence.
  _tar(classes(tmp_path / "in", count=5), tmp_path / "a.tar")
  with tarfile.open(tmp_path / "a.tar") as archive:
    files = [member for member in archive if member.isfile()]
  content = (tmp_path / "a.tar").read_bytes()
  (tmp_path / "a.tar").write_bytes(damage(content, files[9].offset))
  assert prepare(tmp_path / "a.tar", tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert "a.tar: cut or damaged tar file: its end is not there after" in said
  assert said.count("\n") == 1


def test_links_of_a_tar_are_followed_or_named(tmp_path, capsys):
  source = classes(tmp_path / "in", count=5)
  os.link(source / "ant" / "000.png", source / "ant" / "hard.png")
  (source / "bee" / "soft.png").symlink_to("../ant/001.png")
  (source / "cow" / "lost.png").symlink_to("nowhere.png")
  _tar(source, tmp_path / "a.tar")
  assert prepare(tmp_path / "a.tar", tmp_path / "out", "--size=8") == 0
  said = capsys.readouterr().out
  assert "left out: cow/lost.png: a link to cow/nowhere.png, which is" in said
  files = set(read(tmp_path / "out")[1]["file"])
  assert {"ant/hard.png", "bee/soft.png"} <= files
  assert len(files) == 17


def test_tables_of_any_form_say_the_same(tmp_path):
  for i in range(12):
    draw(tmp_path / "in" / f"{i}.png", i)
  frame = pd.DataFrame(
    {
      "path": [f"/old/{i}.png" for i in range(12)],
      "size": [str(i / 8) for i in range(12)],
      "mood": ["glad", "sad"] * 6,
    }
  )
  comma = frame.assign(size=frame["size"].str.replace(".", ","))
  files = {
    "a.csv": frame.to_csv(index=False),
    "bom.csv": "\ufeff" + frame.to_csv(index=False),
    "a.tsv": frame.to_csv(index=False, sep="\t"),
    "semicolon.csv": comma.to_csv(index=False, sep=";"),
    "a.jsonl": frame.to_json(orient="records", lines=True),
    "a.json": frame.to_json(orient="records"),
  }
  found = []
  for name, text in files.items():
    (tmp_path / name).write_text(text, encoding="utf-8")
    out = tmp_path / f"out_{name}"
    more = f"--table={tmp_path / name}"
    assert prepare(tmp_path / "in", out, more) == 0, name
    found.append(read(out)[1])
  assert found[0]["size"].tolist() != sorted(found[0]["size"])
  for other in found[1:]:
    assert found[0].equals(other)


def test_sizes_need_not_be_square_and_the_aspect_may_stay(tmp_path, capsys):
  pixels = np.zeros((30, 60, 3), np.uint8)
  pixels[:, 20:40] = 200
  (tmp_path / "in" / "a").mkdir(parents=True)
  for i in range(10):
    Image.fromarray(pixels).save(tmp_path / "in" / "a" / f"{i}.png")
  classes(tmp_path / "in", ("b",), 10, size=(60, 30))
  found = {}
  for fit in ("squash", "crop", "pad"):
    out = tmp_path / fit
    assert prepare(tmp_path / "in", out, f"--fit={fit}", "--size=10x12") == 0
    images, table, _, _ = read(out)
    assert images.shape == (20, 10, 12, 3)
    found[fit] = images[(table["class"] == "a").to_numpy().argmax()]
    said = capsys.readouterr().out
    assert ("so distorted" in said) == (fit == "squash")
  # A third of the image is bright: 4 of 12 columns if squashed; of the middle
  # 36 columns that are kept 20 are, 6.7 of 12; padded there are 6 rows.
  assert (found["squash"][5, :, 0] > 100).sum() == 4
  assert (found["crop"][5, :, 0] > 100).sum() in (6, 7)
  assert (found["pad"][:, 6, 0] > 100).sum() == 6
  assert found["pad"][0].max() == 0


def test_grey_is_kept_or_chosen_and_colour_is_never_lost_unasked(
  tmp_path, capsys
):
  classes(tmp_path / "grey", count=20, mode="L")
  assert prepare(tmp_path / "grey", tmp_path / "kept") == 0
  images, table, _, _ = read(tmp_path / "kept")
  assert images.shape == (60, 8, 8, 1)
  row = table.index[table["file"] == "bee/003.png"][0]
  assert (images[row] == 13).all()
  assert prepare(tmp_path / "grey", tmp_path / "rgb", "--colour=rgb") == 0
  assert read(tmp_path / "rgb")[0].shape == (60, 8, 8, 3)
  # One coloured image among many is not seen by a look at some.
  draw(tmp_path / "grey" / "cow" / "007.png", 200)
  assert prepare(tmp_path / "grey", tmp_path / "mixed") in (0, 1)
  said = capsys.readouterr().err
  if not (tmp_path / "mixed" / "prepared.json").exists():
    assert "has colours" in said
  else:
    assert read(tmp_path / "mixed")[0].shape[-1] == 3
  assert prepare(tmp_path / "grey", tmp_path / "chosen", "--colour=grey") == 0
  assert read(tmp_path / "chosen")[0].shape[-1] == 1


def test_preparing_again_leaves_a_set_and_another_setting_is_refused(
  tmp_path, capsys
):
  classes(tmp_path / "in", count=5)
  out = tmp_path / "out"
  assert prepare(tmp_path / "in", out) == 0
  before = (out / "images.npy").stat().st_mtime_ns
  edited = (out / "schema.json").read_text().replace("class", "Class")
  (out / "schema.json").write_text(edited)
  assert prepare(tmp_path / "in", out) == 0
  assert "already prepared" in capsys.readouterr().out
  assert (out / "images.npy").stat().st_mtime_ns == before
  assert (out / "schema.json").read_text() == edited
  assert prepare(tmp_path / "in", out, "--seed=1") == 1
  assert "prepared with other settings" in capsys.readouterr().err


def test_corrupt_images_are_named_and_left_out_with_their_rows(
  tmp_path, capsys
):
  classes(tmp_path / "in", count=5)
  (tmp_path / "in" / "bee" / "002.png").write_bytes(b"no image")
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  assert "left out: bee/002.png" in capsys.readouterr().out
  images, table, _, _ = read(tmp_path / "out")
  assert len(images) == len(table) == 14
  assert "bee/002.png" not in set(table["file"])


def test_drawn_shapes_agree_with_their_table(tmp_path):
  from cvae_jax.data.files import shapes

  shapes.write(tmp_path / "s", 24, side=32)
  assert prepare(tmp_path / "s", tmp_path / "out", "--size=32") == 0
  images, table, schema, _ = read(tmp_path / "out")
  assert {name: entry["kind"] for name, entry in schema.items()} == {
    **{"shape": "class", "colour": "class"},
    **{"size": "number", "angle": "angle"},
  }
  for image, row in zip(images, table.itertuples(), strict=True):
    pixels = image.astype(int)
    near = np.abs(pixels - shapes.COLOURS[row.colour]).sum(-1) < 60
    dark = pixels.sum(-1) < 120
    area = (near | dark).sum() / (0.42 * 32 * float(row.size)) ** 2
    # Of a circle, a square and a triangle of the same radius.
    expected = {"circle": np.pi, "square": 2.0, "triangle": 1.3}[row.shape]
    assert area == pytest.approx(expected, rel=0.35)


def test_drawn_shapes_leave_values_empty_at_the_share_that_is_asked(tmp_path):
  from cvae_jax.data.files import shapes

  full = tmp_path / "full"
  part = tmp_path / "part"
  shapes.write(full, 120, side=8)
  shapes.write(part, 120, side=8, unknown=0.5)
  known = pd.read_csv(full / "labels.csv", dtype=str)
  found = pd.read_csv(part / "labels.csv", dtype=str)
  gone = found.drop(columns="file").isna()
  assert not known.isna().any(axis=None)
  assert gone.mean().between(0.35, 0.65).all()  # of 120: 3 deviations
  assert gone.drop_duplicates().shape[0] > 8  # each value by its own chance
  pd.testing.assert_frame_equal(found, known.mask(found.isna()))
  for file in known["file"]:
    assert (part / file).read_bytes() == (full / file).read_bytes()


@pytest.mark.parametrize(
  "spell",
  [
    lambda name: name.replace(".png", ".PNG"),
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFC", name).removesuffix(".png"),
    str.upper,
  ],
)
def test_a_table_may_spell_the_names_of_images_otherwise(tmp_path, spell):
  names = [unicodedata.normalize("NFD", f"blé{i:02}.png") for i in range(20)]
  for i, name in enumerate(names):
    draw(tmp_path / "in" / name, i)
  files = [spell(name) for name in names]
  assert set(files).isdisjoint(names)
  table = table_of(tmp_path / "t.csv", file=files, size=np.arange(20) / 8)
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={table}") == 0
  images, rows, _, _ = read(tmp_path / "out")
  told = (8 * rows["size"].astype(float)).astype(int)
  assert images[:, 0, 0, 0].tolist() == told.tolist()


def test_a_name_that_two_images_may_mean_is_missing(tmp_path, capsys):
  for name in ("a.png", "A.png", *(f"{i}.png" for i in range(20))):
    draw(tmp_path / "in" / name)
  names = ["a.PNG", *(f"{i}.png" for i in range(20))]
  table = table_of(tmp_path / "t.csv", file=names, size=np.arange(21) / 2)
  assert prepare(tmp_path / "in", tmp_path / "out", f"--table={table}") == 1
  assert "t.csv are missing: a.PNG; give" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["?", "inf", "-", "3,5", "None"])
def test_a_word_among_numbers_is_named_and_makes_no_class_of_them(word):
  numbers = pd.Series([f"{i / 4}" for i in range(30)] + [word])
  train = np.ones(31, bool)
  with pytest.raises(DataError, match=r"x: row 31 has .* among numbers; .* x="):
    infer_kinds.infer(pd.DataFrame({"x": numbers}), train, {}, {})
  asked = {"x": {"name": "x", "kind": "class"}}
  entries, _ = infer_kinds.infer(pd.DataFrame({"x": numbers}), train, asked, {})
  assert word in entries[0]["levels"]


def test_names_of_digits_and_letters_are_classes():
  names = pd.Series([*"0123456789abcdef"] * 6)
  (entry,), _ = infer_kinds.infer(
    pd.DataFrame({"x": names}), np.ones(96, bool), {}, {}
  )
  assert entry["kind"] == "class"


def test_names_may_have_digits_that_are_no_numbers():
  names = pd.Series(["m²", "10²", "²", "2²"] * 6)
  (entry,), _ = infer_kinds.infer(
    pd.DataFrame({"unit": names}), np.ones(24, bool), {}, {}
  )
  assert entry["levels"] == ["2²", "10²", "m²", "²"]


def test_zeros_and_ones_that_pandas_wrote_beside_empty_cells_are_binary():
  column = pd.Series([1.0, np.nan, 0.0, 1.0] * 5).map(str).replace("nan", "")
  (entry,), _ = infer_kinds.infer(
    pd.DataFrame({"x": column}), np.ones(20, bool), {}, {}
  )
  assert (entry["kind"], entry["levels"]) == ("binary", ["0.0", "1.0"])
  kind = binary.Binary.fit(entry, ["0.0", "1.0"])
  assert kind.encode(["1", "no", "1.0", 1.0]).ravel().tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
  ("peaks", "warned"), [((60_000, 3_000), True), ((60_000, 50_000), False)]
)
def test_different_white_levels_of_wide_images_are_a_warning(
  tmp_path, capsys, peaks, warned
):
  (tmp_path / "in").mkdir()
  for i in range(20):
    ramp = np.linspace(0, peaks[i % 2] + i, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "in" / f"{i:02}.png")
  assert prepare(tmp_path / "in", tmp_path / "out") == 0
  said = "different white levels (4095 in 10, 65535 in 10)"
  assert (said in capsys.readouterr().out) == warned
