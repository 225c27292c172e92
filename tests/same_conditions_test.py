"""Borrowed weights of conditions: entries that meant something else."""

import numpy as np
import pytest

from cvae_jax import config as configs, data as sources, train
from cvae_jax.data.conditions import Conditions
from cvae_jax.loop.same_conditions import differences

pytestmark = pytest.mark.usefixtures("plain_convolutions", "shared_programs")
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
  images = rng.integers(0, 255, (48, 28, 28, 1), np.uint8)
  words = np.array(["low", "mid", "high"])[rng.integers(3, size=48)]
  orders = {"first": "ordinal:low<mid<high", "same": "ordinal:low<mid<high"}
  orders["other"] = "ordinal:high<mid<low"
  said = {}
  for name, kind in orders.items():
    dataset = sources.from_arrays(
      images, {"grade": words}, kinds={"grade": kind}
    )
    lender = "" if name == "first" else str(tmp_path / "first")
    config = configs.load(
      "configs/images.py:smoke", SETTINGS | {"init_from": lender}
    )
    for _ in range(2):
      train.train_and_evaluate(config, tmp_path / name, dataset=dataset)
      said.setdefault(name, []).append(capsys.readouterr())
  texts = {n: [out + err for out, err in both] for n, both in said.items()}
  warned = "1 of 2 entries of the condition vector mean something else"
  assert warned in texts["other"][0]
  assert "'grade>high' here and 'grade>low' there" in texts["other"][0]
  for text in (texts["other"][1], *texts["same"], *texts["first"]):
    assert "something else" not in text
