"""Feeds: resident or gathered, the batch is the same rows."""

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cvae_jax.data import Repeated
from cvae_jax.loop import feed


@pytest.fixture(params=["array", "memmap"])
def columns(request, tmp_path):
  rng = np.random.default_rng(0)
  arrays = {
    "image": rng.integers(0, 256, (50, 4, 3, 1), dtype=np.uint8),
    "condition": rng.standard_normal((50, 2)).astype(np.float32),
    "label": rng.integers(0, 10, 50).astype(np.int32),
  }
  if request.param == "array":
    return arrays
  for name, array in arrays.items():
    np.save(tmp_path / f"{name}.npy", array)
  return {
    name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays
  }


@pytest.mark.parametrize("shape", [(8,), (3, 8)], ids=["one", "three_updates"])
@pytest.mark.parametrize("resident", [True, False])
def test_the_batch_is_the_rows_asked_for(columns, shape, resident):
  source = feed.Feed(columns, **({} if resident else {"limit": 0}))
  assert (source.resident is not None) == resident
  assert source.rows == 50
  rows = np.random.default_rng(1).integers(0, 50, shape).astype(np.int32)
  batch = jax.jit(feed.take)(*source(rows))  # rows may repeat
  assert set(batch) == set(columns)
  for name, column in columns.items():
    assert batch[name].dtype == column.dtype
    np.testing.assert_array_equal(batch[name], np.asarray(column)[rows])


def test_only_the_batch_travels_when_the_data_stay_on_the_host(columns):
  table, _ = feed.Feed(columns, limit=0)(np.arange(8, dtype=np.int32))
  assert {len(column) for column in table.values()} == {8}


def test_columns_are_resident_up_to_the_limit_and_not_a_byte_beyond(columns):
  size = 50 * (4 * 3 * 1 + 2 * 4 + 4)
  assert feed.Feed(columns, limit=size).resident is not None
  assert feed.Feed(columns, limit=size - 1).resident is None


@pytest.mark.parametrize(
  ("backend", "share", "resident"),
  [
    ("cpu", 1.0, True),
    ("cpu", 1.5, False),  # its device memory is the host's
    ("gpu", 1.5, True),
    ("gpu", 2.5, False),
  ],
)
def test_less_is_resident_where_the_memory_is_the_hosts(
  backend, share, resident, monkeypatch
):
  monkeypatch.setattr(feed.jax, "default_backend", lambda: backend)
  rows = int(share * 2**20)
  column = np.broadcast_to(np.uint8(0), (rows, 1024))  # takes no memory
  mesh = SimpleNamespace(replicate=lambda tree: tree)
  source = feed.Feed({"image": column}, mesh=mesh)
  assert (source.resident is not None) == resident


@pytest.mark.parametrize("limit", [0, feed.RESIDENT_BYTES])
def test_feeding_makes_no_implicit_transfer(columns, limit):
  source = feed.Feed(columns, limit)
  rows = np.arange(8, dtype=np.int32)
  take = jax.jit(feed.take)
  with jax.transfer_guard("disallow"):
    take(*source(rows))


@pytest.mark.parametrize("limit", [0, feed.RESIDENT_BYTES])
def test_a_repeated_column_serves_several_rows_with_each_entry(limit):
  entries = np.random.default_rng(0).integers(0, 256, (5, 3, 2), dtype="u1")
  repeated = Repeated(entries, 10)
  cell = np.tile(np.arange(10), 5)
  columns = {"photo": repeated, "cell": cell}
  assert feed.check(columns, {"photo": (3, 2), "cell": ()}) == columns
  source = feed.Feed(columns, limit)
  assert source.rows == 50
  rows = np.array([[0, 9, 10], [49, 17, 17]], np.int32)
  with jax.transfer_guard("disallow"):
    batch = jax.jit(feed.take)(*source(rows))
  stored = np.repeat(entries, 10, axis=0)
  np.testing.assert_array_equal(batch["photo"], stored[rows])
  np.testing.assert_array_equal(batch["cell"], rows % 10)


def test_check_picks_the_columns_a_system_needs(columns):
  picked = feed.check(columns, {"image": (4, 3, 1), "label": ()})
  assert set(picked) == {"image", "label"}
  assert picked["image"] is columns["image"]


def test_check_names_the_column_that_is_missing_and_those_there(columns):
  with pytest.raises(
    ValueError, match=r"'edges'.*\['condition', 'image', 'label'\]"
  ):
    feed.check(columns, {"edges": (4, 3, 1)})


def test_check_says_where_labelled_images_come_from(columns):
  expected = {"labelled_image": (4, 3, 1)}
  with pytest.raises(ValueError, match=r"'labelled_image'.* 'digits' has"):
    feed.check(columns, expected)


@pytest.mark.parametrize(
  ("name", "expected"), [("image", (8, 8, 3)), ("label", (1,))]
)
def test_check_names_both_shapes_where_they_differ(columns, name, expected):
  with pytest.raises(ValueError, match=r"change config\.data") as error:
    feed.check(columns, {name: expected})
  for shape in (columns[name].shape[1:], expected):
    assert str(shape) in str(error.value)
  assert repr(name) in str(error.value)


def test_columns_of_unequal_length_are_refused_with_both_lengths(columns):
  short = {**columns, "label": columns["label"][:49]}
  for use in (
    feed.Feed,
    lambda c: feed.check(c, {"image": (4, 3, 1), "label": ()}),
  ):
    with pytest.raises(ValueError, match=r"'image' has 50 .*'label' has 49"):
      use(short)


def test_a_repeated_column_of_another_length_is_refused():
  entries = np.zeros((5, 3), np.uint8)
  columns = {"photo": Repeated(entries, 10), "cell": np.zeros(49, np.int32)}
  with pytest.raises(ValueError, match=r"'photo' has 50 .*'cell' has 49"):
    feed.Feed(columns)


def test_no_rows_and_pixels_that_are_no_bytes_are_refused(columns):
  with pytest.raises(ValueError, match="0 rows"):
    feed.Feed({name: column[:0] for name, column in columns.items()})
  images = {"image": columns["image"] / 255}
  with pytest.raises(ValueError, match="type float64; images are uint8"):
    feed.check(images, {"image": (4, 3, 1)})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("view", [lambda a: a, lambda a: np.asarray(a)[2:]])
def test_rows_of_a_mapped_file_are_read_without_what_is_around(tmp_path, view):
  path = tmp_path / "images.npy"
  np.save(path, np.zeros((8, 64, 64, 3), np.uint8))
  images = np.load(path, mmap_mode="r")
  assert "rr" not in flags_of_mapping(path)
  feed.Feed({"image": view(images)}, limit=0)
  assert "rr" in flags_of_mapping(path)  # MADV_RANDOM


def flags_of_mapping(path):
  """Return the flags that Linux keeps of a file's mapping."""
  found = ""
  for line in Path("/proc/self/smaps").read_text().splitlines():
    if str(path) in line:
      found = path
    elif found and line.startswith("VmFlags:"):
      return line.split()[1:]
  raise AssertionError(f"{path} is not mapped")
