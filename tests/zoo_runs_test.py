"""Whole runs of the zoo's digit systems: borrowed, resumed, drawn."""

import json

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import figures, runs
from cvae_jax.figures import codes
from cvae_jax.loop import begin
from cvae_jax.loop.folder.checkpoint import CheckpointError
from cvae_jax.measures import score, score_text
from tests import sharing, small_zoo as zoo


def test_m2_stands_on_a_trained_m1(data, tmp_path):
  nets = {f"model__{net}__widths": (5,) for net in ("encoder", "decoder")}
  lender = zoo.lend("m1", tmp_path / "m1", **nets)
  source = f"{tmp_path / 'm1'}:encoder"
  state = zoo.run(data, tmp_path / "m2", "m1m2", init_from=f"{source},decoder")
  for branch in ("encoder", "decoder"):
    assert jax.tree.all(
      jax.tree.map(np.array_equal, state.params[branch], lender[branch])
    )
  run = runs.load(tmp_path / "m2")
  assert run.classify(np.zeros((3, 28, 28, 1), np.uint8)).shape == (3, 10)
  with pytest.raises(CheckpointError, match="no branch 'critic'; it has cla"):
    begin.borrow(state, f"{source},critic")
  with pytest.raises(CheckpointError, match=r"m1:decoder,encoder$"):
    begin.borrow(state, str(tmp_path / "m1"))


def test_adversaries_resume_exactly_and_are_drawn_over_their_prior(
  data, tmp_path
):
  name = "ilaae,labels=50,prior=mixture"
  with sharing.programs():
    zoo.run(data, tmp_path / "whole", name, epochs=2)
    for epochs in (1, 2):
      zoo.run(data, tmp_path / "stopped", name, epochs=epochs)
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []
  run = runs.load(tmp_path / "whole")
  drawn = figures.draw(run)
  assert set(drawn) == {"prior", "latents", "codes", "regions"}
  assert drawn["latents"].shape == (10, 10, 28, 28, 1)
  prior = run.prior(500, 1)  # petals at 1.4, 0.5 long
  assert 1.2 < np.linalg.norm(prior, axis=-1).mean() < 1.6


def test_a_supervised_vae_is_drawn_class_by_class(data, tmp_path):
  run = zoo.untrained("scvae", data, tmp_path)
  drawn = figures.draw(run)
  assert set(drawn) == {"prior", "classes", "paths"}
  assert drawn["paths"].shape == (10, 10, 28, 28, 1)
  first = run.decode(run.prior(2, 0)[:1], run.conditions.encode([5]))
  np.testing.assert_allclose(drawn["paths"][5, 0], first[0], atol=1e-6)
  assert set(figures.captions(run)) >= {"classes", "paths"}


def test_codes_lie_where_they_are_and_have_their_classes_colours():
  prior = np.array([[2.0, 0.0], [0.0, -2.0]])
  z = np.array([[1.0, 1.0], [-1.0, 0.5], [9.0, 0.0]])
  picture = codes.scatter(z, np.array([3, 7, 1]), prior)
  middle = codes.SIDE / 2
  reach = codes.SIDE / 2 / (2 * codes.MARGIN)
  for (x, y), label in zip(z[:2], (3, 7), strict=True):
    row = round(middle - y * reach)
    column = round(middle + x * reach)
    assert picture[row, column].tolist() == codes.PALETTE[label].tolist()
  edge = picture[:, -1]  # beyond the prior: on the edge
  assert codes.PALETTE[1].tolist() in edge.tolist()
  assert (picture == codes.PRIOR).all(axis=-1).sum() == 2 * codes.DOT**2


@pytest.mark.parametrize(
  ("name", "missing"),
  [
    (
      "aae",
      {
        "ELBO",
        "importance-weighted bound",
        "nats lost",
        "nats of each",
        "control",
      },
    ),
    ("vae", {"nats lost", "control"}),
    ("m2", {"nats lost"}),
    ("m3", {"importance-weighted bound", "nats lost", "control"}),
  ],
)
def test_what_a_system_cannot_answer_is_said_and_the_rest_is_scored(
  name, missing, data, tmp_path
):
  run = zoo.untrained(name, data, tmp_path)
  scores = score.score(run, samples=2, per_class=1)
  said = {
    text.partition(":")[0].removesuffix(" latent")
    for text in scores["unscored"]
  }
  assert said == missing
  assert all(np.isfinite(value) for value in scores["test"].values())
  assert scores["condition_gap_nats"] is None
  assert ("iw_bound" in scores["test"]) == (name in ("vae", "m2"))
  assert (scores["categories"] is None) == ("m" not in name)
  assert scores["control"] == {}  # nothing to ask for, or nobody to judge it
  assert json.loads(json.dumps(scores)) == scores
  table = score_text.table(scores)
  assert table.count("not scored") == len(missing)
  assert "hardly reads the condition" not in table


@pytest.mark.parametrize("name", ["m2,labels=0", "m2,faithful"])
def test_an_m2_without_labels_is_not_scored_by_labels(name, data, tmp_path):
  run = zoo.untrained(name, data, tmp_path)
  scores = score.score(run, samples=2, per_class=1)
  assert not {"error", "labelled", "cross_entropy", "iw_bound"} & {
    *scores["test"]
  }
  assert "elbo" in scores["test"]  # a sum over all labels, which asks for none
  assert any("log p(x | y)" in text for text in scores["unscored"])
  for word in ("error", "labelled", "cross_entropy", "IW bound"):
    assert not any(
      line.startswith((f"test {word}", word))
      for line in score_text.table(scores).splitlines()
    )


@pytest.mark.parametrize(
  ("name", "of"),
  [
    ("m2,labels=100", "log p(x | y)"),
    ("vae", "log p(x)"),
    ("scvae", "log p(x | condition)"),
  ],
)
def test_a_bound_is_named_by_what_it_bounds(name, of, data, tmp_path):
  scores = score.score(zoo.untrained(name, data, tmp_path), samples=2)
  assert f"IW bound of {of} " in score_text.table(scores)


def test_a_supervised_vae_is_scored_whole(data, tmp_path):
  scores = score.score(zoo.untrained("scvae", data, tmp_path), samples=2)
  assert scores["unscored"] == []
  assert scores["condition_gap_nats"] != 0
