"""A kind of condition of a user's own, as docs/extend.md shows one."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config as configs, data, runs, train
from cvae_jax.apps.page import controls
from cvae_jax.data import DataError
from cvae_jax.data.conditions import Conditions, kinds
from cvae_jax.data.files import infer_kinds
from cvae_jax.host import plugins
from cvae_jax.metrics import merits
from tests.extend_test import BLOCKS
from tests.prepare_images_test import prepare

NAME = "own_lab.month"
WORDS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
HALF = """
from cvae_jax.data.conditions.number import Number

class Kind(Number):
  kind = __name__

  def encode(self, values, strict=True):
    return super().encode(values, strict) / 2

  def decode(self, vectors):
    return super().decode(2 * vectors)
"""
WRONG = {
  "named": "from cvae_jax.data.conditions.angle import Angle as Kind",
  "empty": "kind = 1",
  "other": "class Kind: kind = __name__",
}


@pytest.fixture
def lab(tmp_path, monkeypatch):
  """A folder with modules of a user's, who has named none yet."""
  folder = tmp_path / "own_lab"
  folder.mkdir()
  (folder / "month.py").write_text(BLOCKS["my_lab/month.py"])
  (folder / "half.py").write_text(HALF)
  for name, text in WRONG.items():
    (folder / f"{name}.py").write_text(text)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr(plugins, "_trusted", set())
  yield tmp_path
  for name in [name for name in sys.modules if name.startswith("own_lab")]:
    del sys.modules[name]


def fit():
  plugins.trust(NAME)
  return Conditions.fit([{"name": "month", "kind": NAME}], {"month": WORDS})


def test_its_values_become_entries_and_back(lab):
  found = fit()
  vectors = found.encode(month=WORDS)
  turn = 2 * np.pi * np.arange(12) / 12
  expected = np.stack([np.cos(turn), np.sin(turn)], axis=1)
  np.testing.assert_allclose(vectors, expected, atol=1e-6)
  assert [row["month"] for row in found.decode(vectors)] == WORDS
  again = Conditions.from_json(json.loads(json.dumps(found.to_json())))
  assert again == found
  assert found.names == ("month 0", "month 1")


def test_its_control_is_scored_by_the_word_that_is_read(lab):
  month = fit().attribute("month")
  asked = month.encode(WORDS)
  right = merits.score(month, asked, 0.3 * asked)
  assert right["hit_rate"] == 1.0
  assert merits.score(month, asked, np.roll(asked, 1, 0))["hit_rate"] == 0.0
  half = np.where(np.arange(12)[:, None] < 6, asked, -asked)
  assert merits.score(month, asked, half)["hit_rate"] == 0.5


def test_an_array_s_column_may_be_of_it_and_a_run_asks_for_trust(lab, tmp_path):
  draw = np.random.default_rng(0)
  words = draw.choice(WORDS, 120)
  images = draw.integers(0, 256, (120, 8, 8), np.uint8)
  dataset = data.from_arrays(images, {"month": words}, kinds={"month": NAME})
  settings = configs.load("images:smoke", {"batch_size": 32})
  folder = tmp_path / "run"
  train.train_and_evaluate(settings, folder, dataset=dataset)
  plugins._trusted.clear()
  with pytest.raises(plugins.Untrusted, match=r"'own_lab.month' as its kind"):
    runs.load(folder)
  run = runs.load(folder, trust=True)
  assert run.sample(month=["jan", "oct"]).shape == (2, 8, 8, 1)
  with pytest.raises(DataError, match=r"no level 'june'.*did you mean jun"):
    run.sample(month="june")
  (control,) = controls.from_run(run)
  assert (control["kind"], control["values"]) == ("class", WORDS)


def test_a_prepared_set_may_have_it(lab, tmp_path):
  draw = np.random.default_rng(0)
  np.save(tmp_path / "a.npy", draw.integers(0, 256, (60, 9, 9), np.uint8))
  rows = [f"{word},{i / 7:.3f}" for i, word in enumerate(WORDS * 5)]
  (tmp_path / "t.csv").write_text("\n".join(["month,dose", *rows]) + "\n")
  stated = f"--kind=month={NAME},dose=own_lab.half"
  files = (f"--table={tmp_path / 't.csv'}", stated)
  assert prepare(tmp_path / "a.npy", tmp_path / "set", *files) == 0
  schema = json.loads((tmp_path / "set/schema.json").read_text())
  assert [e["kind"] for e in schema["attributes"]] == [NAME, "own_lab.half"]
  found = data.load(
    configs.load("images", {"data.path": str(tmp_path / "set")}).data
  )
  dose = found.train["condition"][:, 2]
  assert np.abs(dose).max() == pytest.approx(0.5)  # half of −1 to 1
  assert found.conditions.attribute("month").levels == tuple(WORDS)


@pytest.mark.parametrize(
  ("name", "error", "said"),
  [
    ("month", DataError, r"no kind .*'month'.*as my_lab\.month"),
    ("own_lab.none", configs.ConfigError, "no module 'own_lab.none'"),
    ("own_lab.empty", configs.ConfigError, r"no Kind.*class Kind\(Attribute\)"),
    ("own_lab.other", DataError, "no subclass of Attribute"),
    ("own_lab.named", DataError, "is 'angle'; expected 'own_lab.named'"),
  ],
)
def test_a_module_that_is_no_kind_is_refused(lab, name, error, said):
  with pytest.raises(error, match=said):
    kinds.parse(f"month={name}")


def test_a_kind_of_numbers_is_completed_as_numbers_are(lab):
  asked = kinds.parse("dose=own_lab.half")
  table = pd.DataFrame({"dose": ["1", "3", "5"]})
  (entry,), _ = infer_kinds.infer(table, np.ones(3, bool), asked, {})
  assert entry["range"] == [1.0, 5.0]
  assert kinds.parse("dose=own_lab.half:0|8")["dose"]["range"] == [0.0, 8.0]
