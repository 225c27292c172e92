"""Tables of faces: each adapter gives the conditions, or says what is bad."""

import gzip
import re

import pandas as pd
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import face_tables

CELEBA = ("Male", *face_tables.HAIR, "Mouth_Slightly_Open", "Narrow_Eyes")
# Male, black, brown, grey, blond, mouth, narrow eyes
PEOPLE = [
  (1, 1, -1, -1, -1, 1, -1),
  (-1, -1, -1, -1, 1, -1, 1),
  (-1, -1, 1, -1, 1, -1, -1),  # brown and blond
  (1, -1, -1, -1, -1, 1, 1),  # none
]


def celeba_list(rows, names=CELEBA, count=None):
  lines = [str(len(rows) if count is None else count), " ".join(names)]
  for i, row in enumerate(rows, 1):
    lines.append(f"{i:06d}.jpg " + " ".join(f"{v:2d}" for v in row))
  return "\n".join(lines) + "\n"


def test_utkface_names():
  names = [
    "34_0_0_20170104173030290.jpg.chip.jpg",
    "26_1_3_20170109002602686.jpg",
    "39_1_20170116174525125.jpg.chip.jpg",  # as published: no race
    "61_2_1_20170109.jpg",
  ]
  table, left_out = face_tables.utkface(names)
  rows = [[names[0], 1, 0, 34], [names[1], 0, 1, 26]]
  assert table.to_numpy().tolist() == rows
  assert list(table.columns) == ["file", "male", "female", "age"]
  assert list(left_out) == names[2:]


def test_celeba_list_gives_the_five_conditions(tmp_path):
  path = tmp_path / "list_attr_celeba.txt"
  path.write_text(celeba_list(PEOPLE))
  table, left_out = face_tables.read(str(path))
  expected = [[1, 0, 1, 1, 1], [0, 1, 0.2, 0, 0], [0, 1, 0.45, 0, 1]]
  assert table[list(face_tables.CONDITIONS)].to_numpy().tolist() == expected
  assert table["file"].tolist() == [f"00000{i}.jpg" for i in (1, 2, 3)]
  assert table["Blond_Hair"].tolist() == [0, 1, 1]
  assert left_out == {"000004.jpg": "no hair colour marked"}
  table, left_out = face_tables.read(str(path), hair="drop")
  assert len(table) == 2
  assert left_out["000003.jpg"] == "several hair colours"
  # Kaggle's CSV of the same, and one that has 0 for -1
  rows = pd.DataFrame(PEOPLE, columns=CELEBA)
  rows.insert(0, "image_id", [f"{i:06d}.jpg" for i in range(1, 5)])
  for k, csv in enumerate((rows, rows.replace(-1, 0))):
    csv.to_csv(tmp_path / f"{k}.csv", index=False)
    same, _ = face_tables.read(f"celeba:{tmp_path}/{k}.csv", hair="drop")
    pd.testing.assert_frame_equal(same, table)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (celeba_list(PEOPLE, count=5), "first line says 5 rows, 4 follow"),
    (celeba_list([(7, *PEOPLE[0][1:])]), "'Male': found 7, expected a number"),
    (
      celeba_list([PEOPLE[0], (0, *PEOPLE[0][1:]), (-1,) * 7]),
      "row 2 (000002.jpg), column 'Male': found 0, expected -1 or 1",
    ),
    (celeba_list([(1,) * 6], CELEBA[:6]), "no column 'Narrow_Eyes'; it has"),
  ],
)
def test_celeba_refuses(tmp_path, text, message):
  path = tmp_path / "list.txt"
  path.write_text(text)
  with pytest.raises(DataError, match=re.escape(message)):
    face_tables.read(str(path))


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("name,eyes\na,1\n", "no column 'file'; it has name, eyes"),
    ("file,mouth\na,1\n", "no column 'eyes'; it has file, mouth"),
    ("file,eyes\na,0.5\nb,two\n", "row 2 (b), column 'eyes': found two"),
    ("file,eyes\na,0.5\nb,\n", "row 2 (b), column 'eyes': found nan"),
    ("file,eyes\na,3\n", "found 3, expected a number in [0, 1]"),
    ("file,eyes\na,1\n,1\n", "row 2, column 'file' is empty"),
    ("file,eyes\na,1,2\n", "not a CSV table"),
    ("", "not a CSV table"),
  ],
)
def test_named_csv_refuses(tmp_path, text, message):
  path = tmp_path / "table.csv"
  path.write_text(text)
  with pytest.raises(DataError, match=re.escape(message)) as caught:
    face_tables.read_named_csv(path, ("eyes",), ((0, 1),))
  assert "table.csv" in str(caught.value)


@pytest.mark.parametrize(
  ("files", "expected"),
  [
    (["34_0_0_2017.jpg.chip.jpg"] * 99 + ["61_1_2017.jpg"], "UTKFace faces"),
    (["34_0_0_2017.jpg", "b.jpg"], "faces"),
    (["synthetic_0_000001", "synthetic_0_000002"], "drawn faces"),
    (["000001.jpg"], "faces"),
  ],
)
def test_names_say_whose_faces_they_are(files, expected):
  assert face_tables.origin(files) == expected


def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path):
  mark = b"\xef\xbb\xbf"
  for name, text in (
    ("list.txt", celeba_list(PEOPLE)),
    ("named.csv", "file,male\na.png,1\n"),
  ):
    plain = tmp_path / name
    marked = tmp_path / f"marked_{name}"
    plain.write_text(text)
    marked.write_bytes(mark + text.encode())
    tables = [face_tables.read(str(path))[0] for path in (plain, marked)]
    pd.testing.assert_frame_equal(*tables)


def test_a_table_of_celeba_without_its_word_gets_the_hint(tmp_path):
  rows = pd.DataFrame(PEOPLE, columns=CELEBA)
  rows.insert(0, "image_id", [f"{i}.jpg" for i in range(4)])
  path = tmp_path / "list_attr_celeba.csv"
  rows.to_csv(path, index=False)
  for names in ((), ("male",)):
    with pytest.raises(DataError, match=r"--table=celeba:.*celeba\.csv"):
      face_tables.read(str(path), names=names)


def test_another_file_column_is_taken_or_named(tmp_path):
  path = tmp_path / "table.csv"
  path.write_text("n,image_path,male\n0,a/1.jpg,1\n")
  with pytest.raises(DataError, match="or give --file_column=image_path"):
    face_tables.read(str(path))
  table, _ = face_tables.read(str(path), file_column="image_path")
  assert table["file"].tolist() == ["a/1.jpg"]
  with pytest.raises(DataError, match=r"no column 'img' \(--file_column\)"):
    face_tables.read(str(path), file_column="img")


def test_a_compressed_table_that_is_cut_is_named(tmp_path):
  rows = "".join(f"{i * 7919}.png,{i % 2}\n" for i in range(500))
  path = tmp_path / "table.csv.gz"
  path.write_bytes(gzip.compress(f"file,male\n{rows}".encode())[:900])
  with pytest.raises(DataError, match=r"table\.csv\.gz: not a CSV table"):
    face_tables.read_named_csv(path)
