"""data.from_records: data that are read record by record, as grain has them."""

import numpy as np
import pytest

from cvae_jax import data

ROWS = 40


class Records:
  """Drawn images whose pixels all equal the record's number."""

  def __init__(self, shape=(8, 8, 3), **changed):
    self.shape = shape
    self.changed = changed

  def __len__(self):
    return ROWS

  def __getitem__(self, row):
    image = np.full(self.shape, row, np.uint8)
    record = {"image": image, "label": "ab"[row % 2], "size": row / ROWS}
    return record | self.changed.get(f"at_{row}", {})


def load(tmp_path, records=None, **changed):
  return data.from_records(
    Records() if records is None else records,
    tmp_path,
    conditions=("label", "size"),
    **changed,
  )


def test_records_that_are_tuples_or_a_stream_say_what_to_do(tmp_path):
  pairs = [(np.zeros((8, 8, 1), np.uint8), "a")] * 4  # as torchvision has them
  with pytest.raises(data.DataError, match=r"is a tuple; expected a mapping"):
    load(tmp_path, pairs)
  stream = (record for record in pairs)
  with pytest.raises(data.DataError, match=r"give list\(records\)"):
    load(tmp_path, stream)


def test_each_record_is_in_one_split_once_and_keeps_its_conditions(tmp_path):
  found = load(tmp_path, held_out=0.25)
  numbers = [part["image"][:, 0, 0, 0] for part in (found.train, found.test)]
  assert [len(part) for part in numbers] == [30, 10]
  assert sorted(np.concatenate(numbers)) == list(range(ROWS))
  largest = numbers[0].max() / ROWS
  least = numbers[0].min() / ROWS
  for part, rows in zip((found.train, found.test), numbers, strict=True):
    expected = np.eye(2)[rows % 2]
    np.testing.assert_array_equal(part["condition"][:, :2], expected)
    size = (rows / ROWS - least) / (largest - least)
    np.testing.assert_allclose(part["condition"][:, 2], size, atol=1e-6)


def test_images_stay_in_their_file(tmp_path):
  found = load(tmp_path)
  for part in (found.train, found.test):
    assert isinstance(part["image"], np.memmap)
  assert [path.name for path in tmp_path.iterdir()] == ["images.npy"]


def test_the_same_records_and_seed_are_the_same_data(tmp_path):
  one = load(tmp_path / "one")
  again = load(tmp_path / "again")
  other = load(tmp_path / "other", seed=1)
  assert one.identity() == again.identity()
  assert one.identity() != other.identity()


def test_grey_images_without_a_channel_get_one(tmp_path):
  assert load(tmp_path, Records((8, 8))).train["image"].shape[1:] == (8, 8, 1)


def test_masks_of_0_and_1_are_refused_as_they_would_be_black(tmp_path):
  images = np.eye(8, dtype=np.uint8)[None].repeat(ROWS, axis=0)
  records = [{"image": image, "label": "a", "size": 0.0} for image in images]
  with pytest.raises(data.DataError, match=r"give each image \* np"):
    load(tmp_path, records)
  assert not list(tmp_path.iterdir())
  with pytest.raises(data.DataError, match=r"give images \* np"):
    data.from_arrays(images)
  data.from_arrays(images * np.uint8(255))


@pytest.mark.parametrize(
  ("changed", "said"),
  [
    ({"at_7": {"image": np.zeros((8, 9, 3), np.uint8)}}, "record 7 has an im"),
    ({"at_7": {"image": np.zeros((8, 8, 3))}}, "record 7: an image is uint8"),
    ({"at_7": {"size": np.nan}}, "size: a value is not finite"),
  ],
)
def test_a_record_unlike_the_others_is_named_and_no_half_file_stays(
  tmp_path, changed, said
):
  with pytest.raises(data.DataError, match=said):
    load(tmp_path, Records(**changed))
  assert not [p for p in tmp_path.iterdir() if p.name != "images.npy"]


def test_a_name_that_no_record_has_is_said_with_those_there_are(tmp_path):
  with pytest.raises(data.DataError, match=r"no 'age'; it has .*'label'"):
    data.from_records(Records(), tmp_path, conditions=("age",))
