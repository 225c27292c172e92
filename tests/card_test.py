"""A card says what each entry of a condition holds, as `encode` has it."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config as configs, runs
from cvae_jax.apps.export import card
from cvae_jax.data.conditions import Conditions, digits, faces
from cvae_jax.types import Facts
from tests import small, small_zoo

ENTRIES = [
  {"name": "age", "kind": "number", "range": (20, 80)},
  {"name": "share", "kind": "number", "range": (0, 1), "scaled": (0, 1)},
  {"name": "hour", "kind": "angle", "period": 24},
  {"name": "shape", "kind": "class"},
  {"name": "smiling", "kind": "binary"},
  {"name": "grade", "kind": "ordinal", "levels": ["low", "mid", "high"]},
  {"name": "tags", "kind": "multilabel"},
]
TABLE = {
  "age": [20.0, 35.0, 80.0],
  "share": [0.0, 0.5, 1.0],
  "hour": [0.0, 3.0, 23.5],
  "shape": ["circle", "square", "circle"],
  "smiling": ["no", "yes", "no"],
  "grade": ["low", "mid", "high"],
  "tags": ["beach;night", "", "night"],
}


def entries_of(conditions, folder):
  """Return [(name, what the entry holds)] of a card, in order."""
  config = configs.load("zoo:scvae", small_zoo.widths("scvae"))
  facts = Facts({"image": (12, 10, 3), "condition": (conditions.size,)})
  system = configs.resolve(config, facts)
  run = runs.Run(folder, config, conditions, system, small.drawn(system))
  text = card.write(run, {}, [])
  part = text.partition("## Conditions")[2].partition("\n## ")[0]
  found = re.findall(r"^(\d+)\. ([^:\n]+): (.+)$", part, re.MULTILINE)
  assert [int(number) for number, *_ in found] == [*range(conditions.size)]
  return [(name, held) for _, name, held in found]


def computed(name, held, row):
  """Compute an entry from a card's words alone."""
  if line := re.match(r"(\S+) is (\S+), (\S+) is (\S+), and in a stra", held):
    low, at_low, high, at_high = map(float, line.groups())
    return low + (high - low) * (row[name] - at_low) / (at_high - at_low)
  if turn := re.fullmatch(r"(cos|sin)\(2π · (\w+) / (\w+)\)", held):
    function, name, period = turn.groups()
    return getattr(np, function)(2 * np.pi * row[name] / float(period))
  if known := re.fullmatch(r"1 if (\w+) is known; if 0, .* 0", held):
    return float(row[known[1]] is not None)
  if level := re.fullmatch(r"1 if (\w+) (is|has) (\w+), else 0", held):
    return float(level[3] in row[level[1]].split(";"))
  if rank := re.fullmatch(r"1 if (\w+) is above (\w+), else 0", held):
    order = ["low", "mid", "high"]
    return float(order.index(row[rank[1]]) > order.index(rank[2]))
  if words := re.fullmatch(r"0 is (\w+), 1 is (\w+)", held):
    return float(words.groups().index(row[name]))
  low, high = map(float, re.match(r"(\S+) to (\S+?)(;|$)", held).groups()[:2])
  assert low <= row[name] <= high
  return row[name]


@pytest.mark.parametrize("known_bits", [False, True])
def test_a_reader_of_the_card_makes_the_vectors_of_the_run(
  known_bits, tmp_path
):
  conditions = Conditions.fit(ENTRIES, TABLE, known_bits)
  said = entries_of(conditions, tmp_path)
  assert said[0] == (
    "age", "-1 is 20, 1 is 80, and in a straight line between them"
  )  # fmt: skip
  rows = pd.DataFrame(TABLE).to_dict("records")
  rows.append(rows[1] | {"age": 21.0, "hour": 7.5, "share": 0.25})
  found = [[computed(*each, row) for each in said] for row in rows]
  table = {name: [row[name] for row in rows] for name in TABLE}
  np.testing.assert_allclose(found, conditions.encode(table), atol=1e-6)


@pytest.mark.parametrize(
  ("ink", "range_", "at", "entry"),
  [
    # By the documents: 0.5 (r - mean) / std, and clip(10 (r - 0.075), 0, 1).
    (
      "per_class",
      "-1 to 1",
      "0 is the class's mean ink, 0.5 one standard",
      0.5,
    ),
    ("global", "0 to 1", "0 is a mean pixel of 0.075 or less, 1 of 0.175", 1.0),
  ],
)
def test_the_card_of_digits_says_what_ink_is(ink, range_, at, entry, tmp_path):
  conditions = digits.Conditions(ink, (0.135,) * 10, (0.04,) * 10)
  name, held = entries_of(conditions, tmp_path)[10]
  assert name == "ink"
  assert held.startswith(f"{range_}; {at}")
  image = np.full((1, 28, 28), 0.175)  # 0.135 + one deviation of 0.04
  np.testing.assert_allclose(conditions.measure(image, 3), [entry], atol=1e-6)


def test_the_card_of_faces_has_a_range_for_each_name(tmp_path):
  names = ("mouth", "male", "hair", "female")
  ranges = ((0, 1), (0, 1), (-2, 3), (0, 1))
  conditions = faces.Conditions(names, ranges, ((0, 0.5, 1),) * 4)
  assert entries_of(conditions, tmp_path) == [
    ("mouth", "0 to 1"),
    ("male", "0 to 1"),
    ("hair", "-2 to 3"),
    ("female", "0 to 1"),
  ]


def test_a_card_says_what_kind_of_model_it_is():
  run = runs.load("pretrained/digits")
  text = card.write(run, {}, [])
  assert "\nA conditional generative model of images, trained" in text
  assert "pipeline_tag: unconditional-image-generation\n" in text
  asked_nothing = dataclasses.replace(run, conditions=Conditions(()))
  text = card.write(asked_nothing, {}, [])
  assert "\nA generative model of images, trained" in text
  judge = run.system._replace(decode=None, encode=None)
  text = card.write(dataclasses.replace(run, system=judge), {}, [])
  assert "\nA judge, which reads attributes of images, trained" in text
  assert "generat" not in text
  text = card.write(runs.load("pretrained/colour"), {}, [])
  assert "\nA model that gives grey photos colours, trained" in text
