"""Images that come as arrays: every usual layout is read as it is meant."""

import gzip
import json
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax.data.files import shards
from tests.prepare_images_test import prepare, read

RANDOM = np.random.default_rng(0)


def pixels(count, *shape, kind=np.uint8):
  return RANDOM.integers(0, 256, (count, *shape)).astype(kind)


def in_order(table, images, split=None):
  """Return the images in the order of the file that they came from."""
  chosen = table if split is None else table[table["split"] == split]
  return images[chosen.sort_values("file").index]


def write_idx(path, array, kind=8):
  raw = bytes([0, 0, kind, array.ndim])
  raw += struct.pack(f">{array.ndim}I", *array.shape)
  raw += array.astype({8: ">u1", 12: ">i4"}[kind]).tobytes()
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def test_keras_npz_keeps_its_test_split(tmp_path):
  x = pixels(60, 9, 9)
  y = np.arange(60) % 3
  test = pixels(12, 9, 9)
  path = tmp_path / "mnist.npz"
  np.savez(path, x_train=x, y_train=y, x_test=test, y_test=np.arange(12) % 3)
  assert prepare(path, tmp_path / "out", "--size=9") == 0
  images, table, schema, _ = read(tmp_path / "out")
  assert images.shape == (72, 9, 9, 1)
  assert schema == {
    "class": {"name": "class", "kind": "class", "levels": ["0", "1", "2"]}
  }
  found = in_order(table, images[..., 0], "test")
  np.testing.assert_array_equal(found, test)
  train = table[table["split"] != "test"].sort_values("file")
  np.testing.assert_array_equal(images[train.index, ..., 0], x)
  assert train["class"].astype(int).tolist() == y.tolist()
  assert (table["split"] == "valid").sum() == 6


def test_kmnist_s_four_files_are_one_set(tmp_path):
  folder = tmp_path / "kmnist"
  folder.mkdir()
  for split, count in (("train", 40), ("test", 10)):
    images = pixels(count, 8, 8)
    labels = np.arange(count) % 2
    np.savez(folder / f"kmnist-{split}-imgs.npz", images)
    np.savez(folder / f"kmnist-{split}-labels.npz", labels)
  assert prepare(folder, tmp_path / "out") == 0
  images, table, schema, _ = read(tmp_path / "out")
  assert images.shape == (50, 8, 8, 1)
  assert schema["class"]["levels"] == ["0", "1"]
  assert (table["split"] == "test").sum() == 10


def test_medmnist_s_layout_has_its_three_splits_and_its_tags(tmp_path):
  arrays = {}
  for split, count in (("train", 30), ("val", 6), ("test", 6)):
    arrays[f"{split}_images"] = pixels(count, 8, 8, 3)
    arrays[f"{split}_labels"] = RANDOM.integers(0, 2, (count, 3))
  np.savez(tmp_path / "chest.npz", **arrays)
  assert prepare(tmp_path / "chest.npz", tmp_path / "out") == 0
  images, table, schema, _ = read(tmp_path / "out")
  assert images.shape == (42, 8, 8, 3)
  assert schema["tags"]["kind"] == "multilabel"
  for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
    rows = table[table["split"] == name].sort_values("file")
    np.testing.assert_array_equal(images[rows.index], arrays[f"{split}_images"])
    for text, marks in zip(
      rows["tags"], arrays[f"{split}_labels"], strict=True
    ):
      assert text == ";".join(str(i) for i in range(3) if marks[i])
  # One label a row, as [N, 1], is a class.
  for split in ("train", "val", "test"):
    count = len(arrays[f"{split}_images"])
    arrays[f"{split}_labels"] = (np.arange(count) % 4)[:, None]
  np.savez(tmp_path / "blood.npz", **arrays)
  assert prepare(tmp_path / "blood.npz", tmp_path / "blood") == 0
  assert read(tmp_path / "blood")[2]["class"]["levels"] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("scale", ["0..1", "0..255", "binary", "16 bits"])
def test_the_white_level_is_that_of_all_images_together(tmp_path, scale):
  grey = pixels(20, 8, 8)
  grey[0] = grey[0] // 4  # a dark one stays dark
  grey[1, 0, 0] = 255
  given = {
    "0..1": grey / np.float32(255),
    "0..255": grey.astype(np.float64),
    "binary": (grey > 127).astype(np.uint8),
    "16 bits": grey.astype(np.uint16) * 257,
  }[scale]
  np.save(tmp_path / "a.npy", given)
  assert prepare(tmp_path / "a.npy", tmp_path / "out") == 0
  images, table, _, _ = read(tmp_path / "out")
  expected = 255 * (grey > 127) if scale == "binary" else grey
  np.testing.assert_array_equal(in_order(table, images[..., 0]), expected)


def test_floats_a_hair_above_one_stay_as_bright(tmp_path):
  x = RANDOM.random((20, 9, 9)).astype(np.float32)
  x[3, 0, 0] = 1.0001
  np.savez(tmp_path / "f.npz", images=x)
  assert prepare(tmp_path / "f.npz", tmp_path / "out", "--size=9") == 0
  images, table, *_ = read(tmp_path / "out")
  found = in_order(table, images[..., 0]) / 255
  np.testing.assert_allclose(found, x, atol=0.01)


def test_a_split_of_the_arrays_own_is_kept(tmp_path):
  split = np.array(["train"] * 30 + ["valid"] * 5 + ["test"] * 15)
  np.savez(tmp_path / "a.npz", images=pixels(50, 9, 9), split=split)
  assert prepare(tmp_path / "a.npz", tmp_path / "out", "--size=9") == 0
  table = read(tmp_path / "out")[1].sort_values("file")
  assert table["split"].tolist() == split.tolist()


def test_no_array_vanishes_without_a_word(tmp_path, capsys):
  score = np.arange(50) / 50
  arrays = {"images": pixels(50, 9, 9), "test_score": score}
  np.savez(tmp_path / "a.npz", **arrays, names=np.array(["a", "b"]))
  assert prepare(tmp_path / "a.npz", tmp_path / "out", "--size=9") == 0
  table = read(tmp_path / "out")[1].sort_values("file")
  np.testing.assert_allclose(table["test_score"].astype(float), score)
  assert "left out: array names (2,)" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("names", "attributes"),
  [
    (("fine_labels", "coarse_labels"), ["coarse_labels", "fine_labels"]),
    (("coarse_labels", "fine_labels"), ["coarse_labels", "fine_labels"]),
    (("target", "label"), ["label", "target"]),
    (("shape_label", "mood"), ["class", "mood"]),
    (("img_size", "size"), ["img_size", "size"]),
    (("arr_1", "y"), ["arr_1", "y"]),
  ],
)
@pytest.mark.parametrize("splits", [("",), ("train_", "test_")])
def test_two_arrays_of_labels_are_two_attributes(
  tmp_path, names, attributes, splits
):
  arrays = {f"{split}images": pixels(50, 9, 9) for split in splits}
  told = [np.arange(50) % 10, np.arange(50) % 10 // 5]
  for split in splits:
    arrays |= {f"{split}{names[i]}": told[i] for i in (0, 1)}
  np.savez(tmp_path / "a.npz", **arrays)
  assert prepare(tmp_path / "a.npz", tmp_path / "out", "--size=9") == 0
  table, schema = read(tmp_path / "out")[1:3]
  assert sorted(schema) == attributes
  place = table["file"].str.rpartition("/")[2].astype(int)
  for name in schema:
    i = names.index(name) if name in names else 0
    assert (table[name].astype(int) == told[i][place]).all()


def test_an_attribute_has_one_name_though_only_one_split_has_two(tmp_path):
  count = np.arange(40)
  arrays = {"x_train": pixels(40, 9, 9), "x_test": pixels(40, 9, 9)}
  arrays |= {"train_fine_labels": count % 4, "train_coarse_labels": count % 2}
  np.savez(tmp_path / "a.npz", **arrays, test_fine_labels=count % 4)
  assert prepare(tmp_path / "a.npz", tmp_path / "out", "--size=9") == 0
  table, schema = read(tmp_path / "out")[1:3]
  assert sorted(schema) == ["coarse_labels", "fine_labels"]
  test = table[table["split"] == "test"].sort_values("file")
  assert test["fine_labels"].astype(int).tolist() == (count % 4).tolist()
  assert (test["coarse_labels"] == "").all()


@pytest.mark.parametrize(
  "names", [("train_labels", "labels_train"), ("train_tags", "train_labels")]
)
def test_arrays_that_cannot_be_told_apart_are_an_error(tmp_path, capsys, names):
  marks = RANDOM.integers(0, 2, (20, 3))
  given = {"train_images": pixels(20, 9, 9)} | dict.fromkeys(names, marks)
  np.savez(tmp_path / "a.npz", **given)
  assert prepare(tmp_path / "a.npz", tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert names[1] in said
  assert "rename one of them" in said
  assert said.count("\n") == 1


def test_an_array_of_file_names_is_an_attribute_like_any_other(tmp_path):
  arrays = {"images": pixels(50, 9, 9), "image_file": np.arange(50) % 2}
  np.savez(tmp_path / "a.npz", **arrays)
  assert prepare(tmp_path / "a.npz", tmp_path / "out", "--size=9") == 0
  table = read(tmp_path / "out")[1].sort_values("file")
  assert table["file"].tolist() == [f"row/{i:07d}" for i in range(50)]
  assert table["image_file"].astype(int).tolist() == [0, 1] * 25


def test_axes_may_come_in_any_usual_order(tmp_path):
  images = pixels(10, 8, 8, 3)
  layouts = {
    "last": images,
    "first": images.transpose(0, 3, 1, 2),
    "flat": images.transpose(0, 3, 1, 2).reshape(10, -1),
  }
  for name, array in layouts.items():
    np.save(tmp_path / f"{name}.npy", array)
    found = tmp_path / f"out_{name}"
    assert prepare(tmp_path / f"{name}.npy", found) == 0
    prepared, table, _, _ = read(found)
    np.testing.assert_array_equal(in_order(table, prepared), images)


def test_arrays_take_a_table_whose_rows_are_in_their_order(tmp_path, capsys):
  images = pixels(20, 8, 8)
  np.save(tmp_path / "a.npy", images)
  frame = pd.DataFrame({"age": np.arange(20) / 7, "mood": ["glad", "sad"] * 10})
  frame.to_csv(tmp_path / "t.csv", index=False)
  more = f"--table={tmp_path / 't.csv'}"
  assert prepare(tmp_path / "a.npy", tmp_path / "out", more) == 0
  found, table, schema, _ = read(tmp_path / "out")
  assert {n: e["kind"] for n, e in schema.items()} == {
    **{"age": "number", "mood": "class"}
  }
  rows = table.sort_values("file")
  np.testing.assert_array_equal(found[rows.index, ..., 0], images)
  assert rows["age"].astype(float).tolist() == frame["age"].tolist()
  frame[:19].to_csv(tmp_path / "t.csv", index=False)
  assert prepare(tmp_path / "a.npy", tmp_path / "other", more) == 1
  assert "has 19 rows" in capsys.readouterr().err


def _numbered(folder, count=20):
  """Save images whose first pixel is 10 i, and how i is told in a table."""
  images = pixels(count, 8, 8)
  images[:, 0, 0] = 10 * np.arange(count)
  np.save(folder / "a.npy", images)
  frame = pd.DataFrame({"size": np.arange(count) / 7 + 1})
  frame.to_csv(folder / "t.csv", index=False)
  return folder / "a.npy", f"--table={folder / 't.csv'}"


def _tells_each(out):
  """Tell whether each row's size is that of its own image."""
  images, table, *_ = read(out)
  told = 7 * (table["size"].astype(float) - 1)
  return np.allclose(images[:, 0, 0, 0] / 10, told, atol=1e-6)


def test_a_table_in_a_prepared_set_s_order_joins_arrays_by_name(tmp_path):
  images, table = _numbered(tmp_path)
  assert prepare(images, tmp_path / "first", table) == 0
  rows = pd.read_csv(tmp_path / "first" / "attributes.csv")
  assert not rows["size"].is_monotonic_increasing  # in another order
  assert _tells_each(tmp_path / "first")
  again = f"--table={tmp_path / 'first' / 'attributes.csv'}"
  assert prepare(images, tmp_path / "again", again, "--split=split") == 0
  assert _tells_each(tmp_path / "again")
  splits = [read(tmp_path / n)[1].set_index("file") for n in ("first", "again")]
  assert splits[1]["split"].equals(splits[0]["split"][splits[1].index])
  # The set's own array has the order and the names of the set's table.
  for number, place in enumerate((tmp_path / "first", "first/images.npy")):
    out = tmp_path / f"own{number}"
    assert prepare(tmp_path / place, out, again, "--seed=3") == 0
    assert _tells_each(out)
    own = f"--table={out / 'attributes.csv'}"
    assert prepare(images, tmp_path / f"whole{number}", own) == 0
    assert _tells_each(tmp_path / f"whole{number}")


def test_names_in_another_column_join_arrays_if_it_is_given(tmp_path):
  images, table = _numbered(tmp_path)
  assert prepare(images, tmp_path / "first", table) == 0
  rows = pd.read_csv(tmp_path / "first" / "attributes.csv")
  rows.rename(columns={"file": "row"}).to_csv(tmp_path / "r.csv", index=False)
  more = (f"--table={tmp_path / 'r.csv'}", "--file_column=row")
  assert prepare(images, tmp_path / "out", *more) == 0
  assert _tells_each(tmp_path / "out")
  more = (more[0], "--file_column=rows")
  assert prepare(images, tmp_path / "none", *more) == 1


def test_names_that_are_no_rows_of_arrays_leave_a_table_in_its_order(tmp_path):
  images, _ = _numbered(tmp_path)
  rows = pd.read_csv(tmp_path / "t.csv")
  rows.insert(0, "file", [f"{i}.png" for i in reversed(range(20))])
  rows.to_csv(tmp_path / "t.csv", index=False)
  table = f"--table={tmp_path / 't.csv'}"
  assert prepare(images, tmp_path / "out", table) == 0
  assert _tells_each(tmp_path / "out")


@pytest.mark.parametrize(
  ("row", "name", "said"),
  [
    (3, "3.png", "row 4 names '3.png', which is no row of the arrays (as"),
    (3, "", "row 4 names '', which is no row"),
    (3, "row/0000020", "row 4 names 'row/0000020', which is no row"),
    (3, "row/0000004", "two rows name row/0000004"),
    (slice(0, None), "test/0000001", "row 1 names 'test/0000001', which is no"),
  ],
)
def test_names_of_which_some_are_no_rows_of_arrays_are_an_error(
  tmp_path, capsys, row, name, said
):
  images, table = _numbered(tmp_path)
  rows = pd.read_csv(tmp_path / "t.csv")
  rows["file"] = [f"row/{i:07d}" for i in range(20)]
  rows.iloc[row, rows.columns.get_loc("file")] = name
  rows.to_csv(tmp_path / "t.csv", index=False)
  assert prepare(images, tmp_path / "out", table) == 1
  found = capsys.readouterr().err
  assert said in found
  assert found.count("\n") == 1


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_of_47_classes_and_other_sizes_transposed(tmp_path, ending):
  train = pixels(141, 9, 11)
  test = pixels(94, 9, 11)
  for split, images in (("train", train), ("test", test)):
    stem = f"emnist-balanced-{split}"
    labels = np.arange(len(images)) % 47 + 1  # from 1, as letters have it
    write_idx(tmp_path / "in" / f"{stem}-images-idx3-ubyte{ending}", images)
    write_idx(tmp_path / "in" / f"{stem}-labels-idx1-ubyte{ending}", labels)
  out = tmp_path / "out"
  more = ("--size=11x9", "--transpose")
  assert prepare(tmp_path / "in", out, *more) == 0
  images, table, schema, _ = read(out)
  assert images.shape == (235, 11, 9, 1)
  assert schema["class"]["levels"] == [str(i) for i in range(1, 48)]
  found = in_order(table, images[..., 0], "test")
  np.testing.assert_array_equal(found, test.transpose(0, 2, 1))
  one = tmp_path / "in" / f"emnist-balanced-train-images-idx3-ubyte{ending}"
  assert prepare(one, tmp_path / "one", *more) == 0
  np.testing.assert_array_equal(read(tmp_path / "one")[0], images)


def test_idx_of_several_sets_or_cut_short_is_one_line(tmp_path, capsys):
  for stem in ("emnist-letters-train", "emnist-digits-train"):
    write_idx(tmp_path / f"{stem}-images-idx3-ubyte", pixels(4, 8, 8))
  assert prepare(tmp_path, tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert "several sets: emnist-digits, emnist-letters" in said
  path = tmp_path / "emnist-digits-train-images-idx3-ubyte"
  path.write_bytes(path.read_bytes()[:-1])
  assert prepare(path, tmp_path / "out") == 1
  assert "272 bytes expected, 271 found" in capsys.readouterr().err


def write_cifar(folder, hundred=False):
  folder.mkdir(parents=True)
  kept = {}
  batches = ["train", "test"] if hundred else ["data_batch_1", "test_batch"]
  for name in batches:
    images = pixels(30, 32, 32, 3)
    labels = (np.arange(30) % 3).tolist()
    batch = {"data": images.transpose(0, 3, 1, 2).reshape(30, -1)}
    if hundred:
      batch |= {"fine_labels": labels, "coarse_labels": [0, 1, 1] * 10}
    else:
      batch["labels"] = labels
    (folder / name).write_bytes(pickle.dumps(batch, 3))
    kept[name] = images
  meta = {"label_names": ["cat", "dog", "emu"]}
  if hundred:
    meta = {"fine_label_names": meta["label_names"]}
    meta["coarse_label_names"] = ["mammal", "bird"]
  name = "meta" if hundred else "batches.meta"
  (folder / name).write_bytes(pickle.dumps(meta, 3))
  return kept


def test_cifar_is_read_from_its_folder_and_its_tar(tmp_path):
  folder = tmp_path / "cifar-10-batches-py"
  kept = write_cifar(folder)
  with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
    archive.add(folder, folder.name)
  for place in (folder, tmp_path / "cifar-10-python.tar.gz"):
    out = tmp_path / f"out_{place.name}"
    assert prepare(place, out, "--size=32") == 0
    images, table, schema, _ = read(out)
    assert schema["class"]["levels"] == ["cat", "dog", "emu"]
    found = in_order(table, images, "test")
    np.testing.assert_array_equal(found, kept["test_batch"])


def test_cifar_100_has_a_class_and_a_superclass(tmp_path):
  write_cifar(tmp_path / "cifar-100-python", hundred=True)
  out = tmp_path / "out"
  assert prepare(tmp_path / "cifar-100-python", out) == 0
  schema = read(out)[2]
  assert schema["class"]["levels"] == ["cat", "dog", "emu"]
  assert schema["superclass"]["levels"] == ["bird", "mammal"]


class Harm:
  def __reduce__(self):
    return print, ("harm",)


def test_a_pickle_of_more_than_arrays_is_refused_and_not_run(tmp_path, capsys):
  folder = tmp_path / "cifar-10-batches-py"
  write_cifar(folder)
  (folder / "data_batch_1").write_bytes(pickle.dumps({"data": Harm()}))
  assert prepare(folder, tmp_path / "out") == 1
  found = capsys.readouterr()
  assert "only NumPy arrays are admitted" in found.err
  assert "harm" not in found.out


@pytest.mark.parametrize(
  "name",
  [
    "data/{}-00000-of-00001.parquet",
    "{}/0000.parquet",  # as Hugging Face converts sets
    "{}-00000-of-00001.parquet",
  ],
)
def test_parquet_shards_bring_images_names_of_classes_and_splits(
  tmp_path, capsys, name
):
  pyarrow = pytest.importorskip("pyarrow")
  parquet = pytest.importorskip("pyarrow.parquet")
  features = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
  }
  kept = {}
  for split, count in (("train", 30), ("test", 6)):
    records = []
    for i in range(count):
      image = pixels(8, 8, 3)
      file = tmp_path / "a.png"
      Image.fromarray(image).save(file)
      content = {"bytes": file.read_bytes(), "path": f"{i}.png"}
      kept[split, i] = image
      records.append({"image": content, "label": i % 2, "size": i / 8})
    table = pyarrow.Table.from_pylist(records)
    said = json.dumps({"info": {"features": features}}).encode()
    table = table.replace_schema_metadata({b"huggingface": said})
    place = tmp_path / "set" / name.format(split)
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, place)
  out = tmp_path / "out"
  assert prepare(tmp_path / "set", out) == 0
  images, table, schema, _ = read(out)
  assert schema["class" if "class" in schema else "label"]["levels"] == [
    *("cat", "dog")
  ]
  assert schema["size"]["kind"] == "number"
  found = in_order(table, images, "test")
  assert len(found) == 6
  for i in range(6):
    np.testing.assert_array_equal(found[i], kept["test", i])
  assert prepare(tmp_path / "set", out) == 0
  assert "already prepared" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("file", "split"),
  [
    ("val-00000-of-00002.parquet", "valid"),
    ("test/0000.parquet", "test"),
    ("partial-train/0001.parquet", "train"),
    ("test/train-0000.parquet", "train"),  # the nearest word says it
    ("0000.parquet", ""),
    ("data/part-1.parquet", ""),
  ],
)
def test_a_shard_s_split_is_in_its_name_or_its_folder_s(file, split):
  inside = Path("train") / "set"  # what is around the set says nothing
  assert shards.find_split(inside / file, inside) == split
  one = Path("train") / "0.parquet"
  assert shards.find_split(one, one) == ""


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.zeros((4, 8, 8, 8, 8)), "expected images [N, H, W]"),
    (np.full((4, 8, 8), -1.0), "pixels are from -1 to -1"),
    (np.full((4, 8, 8), np.nan), "expected finite values"),
    (np.zeros((4, 70)), "are no square images"),
    (np.zeros(4), "no array of images"),
  ],
)
def test_arrays_that_are_no_images_are_one_line(
  tmp_path, capsys, array, message
):
  np.save(tmp_path / "a.npy", array)
  assert prepare(tmp_path / "a.npy", tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert message in said
  assert said.count("\n") == 1


def test_damaged_arrays_are_one_line_wherever_the_damage_is(tmp_path, capsys):
  images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
  np.savez_compressed(tmp_path / "a.npz", x_train=images)
  np.save(tmp_path / "a.npy", images)
  changes = (
    ("a.npz", 0, b"PK\x03\x05"),
    ("a.npz", 300, bytes(40)),  # a deflate stream
    ("a.npy", 10, b"{'descr': ("),  # a header without an end
    ("a.npy", 70, b"(9999999999999,"),  # its shape
  )
  for name, place, new in changes:
    content = bytearray((tmp_path / name).read_bytes())
    content[place : place + len(new)] = new
    (tmp_path / f"bad_{name}").write_bytes(content)
    assert prepare(tmp_path / f"bad_{name}", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert f"bad_{name}: not arrays that can be read" in said
    assert said.count("\n") == 1
