"""Earlier scores beside new ones: what holds stays, and is named."""

import json

import pytest

from cvae_jax import train
from cvae_jax.measures import earlier
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")

CONTROL = {"class": {"sweep": {"hit_rate": 0.1, "floor": 0.1}}}


def protocol(judges=("a",), **changes):
  judges = [{"run": f"runs/{name}", "state": name} for name in judges]
  usual = {"run": "r", "samples": 50, "per_class": 200, "seed": 0}
  return usual | {"test_examples": 9, "judges": judges} | changes


def scores(*parts, control=None, **how):
  found = {
    "protocol": protocol(**how),
    "test": {"kl": 5.0},
    "condition_gap_nats": 3.0,
    "latents": {"active": 2},
    "unlabelled": True,
    "control": control or {},
    "leakage": {"std": {}} if control else None,
    "warnings": [],
  }
  return found | {part: {"of": part} for part in parts}


OLD = scores("representation", "edits", "cas", control=CONTROL)
PARTS = {"representation", "edits", "cas"}


@pytest.mark.parametrize(
  ("asked", "kept", "lost"),
  [
    ({"judges": ()}, PARTS | {"control by judges"}, set()),
    ({}, PARTS, set()),
    ({"per_class": 1}, PARTS, set()),  # the judges have read again
    ({"samples": 0}, PARTS, set()),
    ({"judges": ("b",)}, {"representation"}, {"edits", "cas"}),
    ({"seed": 1}, set(), PARTS),
    ({"seed": 1, "judges": ()}, set(), PARTS | {"control by judges"}),
    (
      {"per_class": 1, "judges": ()},
      {"representation"},
      {"edits", "cas", "control by judges"},
    ),
  ],
)
def test_a_part_stays_where_all_that_it_depends_on_is_the_same(
  asked, kept, lost
):
  found = earlier.merge(scores(**asked), OLD)
  assert (set(found.kept), set(found.lost)) == (kept, lost)
  for part in PARTS:
    assert found.scores.get(part) == (OLD[part] if part in kept else None)
  said = earlier.lines(found)
  assert len(said) == bool(kept) + bool(lost)
  assert all("\n" not in line for line in said)


def test_the_judges_of_control_that_stays_are_named_beside_it():
  found = earlier.merge(scores(judges=(), samples=1), OLD).scores
  assert found["control"] == CONTROL
  assert found["leakage"] == {"std": {}}
  assert found["protocol"] == protocol(samples=1)


def test_what_is_measured_now_takes_the_place_of_what_was():
  found = earlier.merge(scores("cas") | {"edits": {"of": "now"}}, OLD)
  assert found.scores["edits"] == {"of": "now"}
  assert found.kept == ("representation",)
  assert earlier.merge(scores(), None) == earlier.Merged(scores())


def test_what_is_measured_next_is_not_said_to_be_kept():
  found = earlier.merge(scores(judges=("b",)), OLD)
  assert earlier.lines(found, ["cas", "representation"]) == [
    "left out from before, since the seed, the judges or the counts are "
    "others now: edits"
  ]


def measures(folder):
  return json.loads((folder / "measures.json").read_text())["scores"]


def test_evaluating_again_keeps_what_other_commands_measured(
  data, tmp_path, monkeypatch, capsys
):
  judge = tmp_path / "judge"
  train.train_and_evaluate(small.config(data, "classifier"), judge)
  run = tmp_path / "run"
  train.train_and_evaluate(small.config(data), run)
  asked = {"workdir": str(run), "samples": 0, "per_class": 1}
  small.run_command(
    "evaluate", **asked, judge=[str(judge)], representation=True
  )
  before = measures(run)
  capsys.readouterr()
  small.run_command("evaluate", **asked)
  assert measures(run) == before
  said = capsys.readouterr().out.splitlines()
  kept = (
    "kept from before, of the same state: control by judges, representation"
  )
  assert said.count(kept) == 1
  small.run_command("evaluate", **asked, judge=[str(judge)])
  assert measures(run) == before
