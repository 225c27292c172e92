"""The scripts that the documents show for tables of samples and odd images."""

import os
import re

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config, train
from cvae_jax.data.files import shapes
from tests import small
from tests.prepare_images_test import prepare


def script(page, word):
  """Return the Python code of a page that has a word in it."""
  text = (small.ROOT / "docs" / page).read_text()
  (found,) = [
    code
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    if word in code
  ]
  return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A run on shapes with gaps, in the folders that the documents name."""
  base = tmp_path_factory.mktemp("recipes")
  shapes.write(base / "PHOTOS", 120, side=16, unknown=0.2)
  assert prepare(base / "PHOTOS", base / "data/mine", "--size=16") == 0
  before = os.getcwd()
  os.chdir(base)
  try:
    page = config.load("images:smoke", {"data.path": "data/mine"})
    train.train_and_evaluate(page, "runs/mine")
  finally:
    os.chdir(before)
  return base


def test_samples_join_the_images_and_the_table(folder, monkeypatch):
  monkeypatch.chdir(folder)
  exec(script("conditions.md", "sample_"), {})
  more = ("--table=all.csv", "--split=split", "--size=16")
  assert prepare("PHOTOS", "data/more", *more) == 0
  old = pd.read_csv("data/mine/attributes.csv", dtype=str)
  new = pd.read_csv("data/more/attributes.csv", dtype=str).set_index("file")
  drawn = new[new.index.str.startswith("sample_")]
  assert (drawn["shape"] == "triangle").all()
  assert (drawn["split"] == "train").all()
  assert len(drawn) == 200
  assert len(new) == len(old) + 200
  same = new.loc[old["file"]].reset_index()
  pd.testing.assert_frame_equal(same[old.columns], old)


def test_the_oddest_rows_come_first(folder, monkeypatch, capsys):
  monkeypatch.chdir(folder)
  found = {}
  exec(script("evaluate.md", "log_likelihood"), found)
  table = found["table"]
  assert len(table) == len(found["rows"]["image"]) > 10
  # A part of noise among the rows is found, at its own name.
  images = np.array(found["rows"]["image"])
  images[3] = np.random.default_rng(0).integers(0, 256, images[3].shape)
  nats = found["run"].log_likelihood(images, found["rows"]["condition"])
  assert np.argmin(nats) == 3
  assert "nats" in capsys.readouterr().out
