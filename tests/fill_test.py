"""launch.fill: the empty cells of a table, filled with what a judge reads."""

import shlex
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config as configs, data
from cvae_jax.apps import fill
from cvae_jax.data.conditions.ordinal import Ordinal
from cvae_jax.data.files import shapes
from cvae_jax.runs import RunError
from tests.prepare_images_test import prepare

COUNT = 80
NAMES = ["shape", "colour", "size", "angle"]


def read_table(folder):
  path = folder / "attributes.csv"
  return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
  """Prepare one set twice: with all values, and with half of them."""
  folder = tmp_path_factory.mktemp("shapes")
  found = []
  for name, unknown in (("full", 0.0), ("half", 0.5)):
    shapes.write(folder / name, COUNT, side=16, unknown=unknown)
    assert prepare(folder / name, folder / f"{name}_16", "--size=16") == 0
    found.append(folder / f"{name}_16")
  return found


@pytest.fixture
def judge(sets):
  """Stand for a judge that reads every image as it was drawn."""
  full, half = sets
  config = configs.load("configs/judge.py", {"data.path": str(half)})
  conditions = data.load(config.data).conditions
  truth = read_table(full).set_index("file").loc[read_table(half)["file"]]
  vectors = conditions.encode_table({n: truth[n].tolist() for n in NAMES})
  by_image = dict(
    zip(map(bytes, np.load(half / "images.npy")), vectors, strict=True)
  )

  def predict(images):
    return np.stack([by_image[bytes(image)] for image in images])

  return SimpleNamespace(
    folder="judge", config=config, conditions=conditions, predict=predict
  )


def test_empty_cells_become_what_is_read_and_others_stay(sets, judge):
  full, half = sets
  found, lines = fill.fill(judge)
  before = read_table(half)
  truth = read_table(full).set_index("file").loc[before["file"]]
  assert list(found.columns) == list(before.columns)
  assert (found[["file", "split"]] == before[["file", "split"]]).all(axis=None)
  known = before[NAMES] != ""
  assert 0.3 < known.to_numpy().mean() < 0.7
  assert (found[NAMES] == before[NAMES]).to_numpy()[known].all()
  for name in ("shape", "colour"):
    assert (found[name].to_numpy() == truth[name].to_numpy()).all()
  ends = {"size": judge.conditions.attribute("size").range, "angle": (0, 360)}
  for name, (low, high) in ends.items():
    gaps = ~known[name].to_numpy()
    np.testing.assert_allclose(
      found[name][gaps].astype(float),
      truth[name][gaps].astype(float).clip(low, high),
      atol=2e-3,
    )
  empty = int((before["shape"] == "").sum())
  assert lines[0] == f"shape: {empty} of {COUNT} cells were empty, 0 are"


def test_a_level_that_the_judge_is_not_sure_of_is_left_empty(sets, judge):
  read = judge.predict
  judge.predict = lambda images: 0.8 * read(images)  # 0.8 of a level's entry
  found, lines = fill.fill(judge, sure=0.81)
  before = read_table(sets[1])
  assert (found["shape"] == before["shape"]).all()
  assert (found["size"] != "").all()  # a number has no probability
  empty = int((before["shape"] == "").sum())
  assert lines[0].endswith(f"{empty} are")
  assert (fill.fill(judge, sure=0.79)[0]["shape"] != "").all()


def test_a_rank_is_as_sure_as_it_is_probable():
  """Its probability is that of being above the rank below and not its own."""
  grade = Ordinal("grade", ("low", "mid", "high"))
  above = np.array([[0.92, 0.08], [0.95, 0.9], [0.03, 0.01], [0.2, 0.9]])
  assert grade.decode(above) == ["mid", "high", "low", "mid"]
  expected = [0.92 - 0.08, 0.9, 1 - 0.03, 0.0]
  np.testing.assert_allclose(fill._certainty(grade, above), expected)


def test_numbers_are_filled_within_the_range_of_the_training_rows(sets, judge):
  read = judge.predict
  size = judge.conditions.columns("size")

  def predict(images):  # a linear head says any number
    found = np.array(read(images))
    found[:, size] = np.where(found[:, size] > 0, 3.0, -3.0)
    return found

  judge.predict = predict
  found, _ = fill.fill(judge)
  before = read_table(sets[1])["size"]
  low, high = judge.conditions.attribute("size").range
  filled = found["size"][before == ""].astype(float)
  assert set(filled) == {low, high}


def test_the_command_that_follows_keeps_kinds_and_size(sets, judge, tmp_path):
  _, half = sets
  kind = "--kind=shape=ordinal:square<circle<triangle,size=log"
  photos = half.parent / "half"
  assert prepare(photos, tmp_path / "set", "--size=16x24", kind) == 0
  judge.config = configs.load(
    "configs/judge.py", {"data.path": str(tmp_path / "set")}
  )
  judge.conditions = data.load(judge.config.data).conditions
  table = read_table(tmp_path / "set")
  out = tmp_path / "filled by a judge.csv"
  table.to_csv(out, index=False)
  words = shlex.split(fill.next_command(judge, table, out))
  words = [word for word in words[3:] if "…" not in word]
  assert f"--table={out}" in words
  assert prepare(photos, tmp_path / "again", *words) == 0
  page = configs.load(
    "configs/judge.py", {"data.path": str(tmp_path / "again")}
  )
  again = data.load(page.data)
  assert again.train["image"].shape[1:3] == (16, 24)
  assert again.conditions.attributes == judge.conditions.attributes


def test_a_table_without_gaps_stays_as_it_is(sets, judge):
  full, _ = sets
  judge.config = configs.load("configs/judge.py", {"data.path": str(full)})
  found, lines = fill.fill(judge)
  assert (found == read_table(full)).all(axis=None)
  assert lines[0] == f"shape: 0 of {COUNT} cells were empty, 0 are"


def test_a_run_that_is_no_judge_is_refused(judge):
  judge.config = configs.load("configs/images.py:smoke")
  judge.system = SimpleNamespace(encode=abs, decode=abs)
  with pytest.raises(RunError, match="no judge of prepared images"):
    fill.fill(judge)


def test_an_exported_judge_is_refused_since_it_names_no_table(judge, tmp_path):
  (tmp_path / "model.safetensors").touch()
  judge.folder = tmp_path
  with pytest.raises(RunError, match=r"is an export.*give the judge's run"):
    fill.fill(judge)
