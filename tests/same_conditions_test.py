"""Borrowed weights of conditions: entries that meant something else."""

import numpy as np
import pytest

from cvae_jax import config as configs, data as sources, train
from cvae_jax.data.conditions import Conditions
from cvae_jax.loop.same_conditions import caution, differences

pytestmark = pytest.mark.usefixtures("plain_convolutions", "shared_programs")
PAGE = "configs/images.py:smoke,system=vae"
SETTINGS = {"epochs": 1, "batch_size": 8, "early_stop.metric": ""}


def conditions(**values):
  kinds = {
    k: "number" if isinstance(v[0], float) else "class"
    for k, v in values.items()
  }
  entries = [{"name": name, "kind": kind} for name, kind in kinds.items()]
  return Conditions.fit(entries, values)


def test_each_entry_that_differs_is_named_by_what_it_is_here_and_there():
  own = conditions(shape=["a", "b"], size=[0.0, 1.0])
  assert differences(own, own) == []
  again = Conditions.from_json(own.to_json())
  assert differences(own, again) == []
  turned = Conditions.fit(
    [
      {"name": "shape", "kind": "class", "levels": ["b", "a"]},
      {"name": "size", "kind": "number"},
    ],
    {"shape": ["a", "b"], "size": [0.0, 1.0]},
  )
  assert differences(own, turned) == [
    "entry 0 is 'shape=a' here and 'shape=b' there",
    "entry 1 is 'shape=b' here and 'shape=a' there",
  ]
  wider = conditions(shape=["a", "b"], size=[0.0, 9.0])
  (said,) = differences(own, wider)
  assert said.startswith("entry 2 is 'size: ")
  assert "9" in said


@pytest.mark.parametrize(
  "other", [None, conditions(shape=["a", "b"]), object()]
)
def test_vectors_of_which_no_weight_fits_are_not_compared(other):
  own = conditions(shape=["a", "b"], size=[0.0, 1.0])
  assert differences(own, other) == []
  assert differences(other, own) == []


def test_a_training_warns_once_of_ranks_in_another_order(tmp_path, capsys):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (24, 16, 16, 1), np.uint8)
  words = {"grade": np.array(["low", "mid", "high"])[rng.integers(3, size=24)]}
  own, other = (
    sources.from_arrays(images, words, kinds={"grade": kind})
    for kind in ("ordinal:low<mid<high", "ordinal:high<mid<low")
  )
  plain = configs.load(PAGE, SETTINGS)
  train.train_and_evaluate(plain, tmp_path / "first", dataset=own)
  assert "something else" not in "".join(capsys.readouterr())
  lender = {"init_from": str(tmp_path / "first")}
  config = configs.load(PAGE, SETTINGS | lender)
  assert caution(config, own.conditions) == ""
  said = []
  for _ in range(2):
    train.train_and_evaluate(config, tmp_path / "other", dataset=other)
    said.append("".join(capsys.readouterr()))
  assert "1 of 2 entries of the condition vector mean something" in said[0]
  assert "'grade>high' here and 'grade>low' there" in said[0]
  assert "something else" not in said[1]
