"""The zoo's verdicts, of figures that are made up to have known ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax import config as configs
from reports.claims import outcome as outcome_of
from reports.zoo import claims
from reports.zoo.runs import Entry, Zoo


def entry(title="", seed=0, tests=({},), **measured):
  tests = [{"epoch": float(i), **row} for i, row in enumerate(tests, 1)]
  config = SimpleNamespace(seed=seed)
  return Entry(title, None, config, tests, {}, **measured)


def curve(*elbo, seed=0):
  """A run whose ELBO is known after epochs 1, 5 and 10."""
  by_epoch = np.interp(range(1, 11), (1, 5, 10), elbo)
  return entry(seed=seed, tests=[{"elbo": value} for value in by_epoch])


def zoo(**groups):
  titles = {"m3": claims.M3, "m2": claims.M2, "source": claims.M2_SOURCE}
  titles |= {"low": claims.LOW, "high": claims.HIGH}
  return Zoo({titles[k]: v for k, v in groups.items()}, [], [])


@pytest.mark.parametrize(
  ("labelled", "outcome"),
  [
    ((-150, -140, -138), "confirmed"),  # ahead at once, little left
    ((-161, -150, -145), "confirmed"),
    ((-162, -150, -145), "undecided"),  # by less than log 10
    ((-150, -120, -110), "undecided"),  # ahead, but as much is left
    ((-175, -150, -130), "contradicted"),
  ],
)
def test_labels_speed_where_they_lead_by_more_than_they_give(labelled, outcome):
  plain = [curve(-164, -150, -145)]
  found = claims.convergence(plain, [curve(*labelled)])
  assert found.outcome.removesuffix(" so far") == outcome
  gain = labelled[1] + 150 - np.log(10)
  assert f" {gain:.4g} (epoch 5)".replace("-", "−") in found.reasons[1]


def test_convergence_is_judged_of_pairs_of_one_seed_with_all_epochs():
  plain = [curve(-160, -150, -145, seed=k) for k in range(3)]
  labelled = [curve(-150, -140, -138, seed=k) for k in (1, 2, 5)]
  found = claims.convergence(plain, labelled)
  assert found.reasons[0] == "seeds: 2"
  short = [entry(seed=1, tests=[{"elbo": -150.0}] * 9)]
  for others in ([], short, [curve(-1, -1, -1, seed=7)]):
    assert claims.convergence(plain, others).outcome == "not measured"


def test_errors_are_held_against_their_target_and_paired_by_draw():
  alone = [
    entry(seed=k, tests=[{"error": e}]) for k, e in enumerate((0.1, 0.15))
  ]
  stacked = [
    entry(seed=k, tests=[{"error": e}]) for k, e in enumerate((0.04, 0.05))
  ]
  assert claims.error(alone, claims.M2).outcome == "missed so far"
  assert claims.error(3 * stacked, claims.M1M2).outcome == "met"
  assert claims.judge_stacking(alone, stacked).outcome == "confirmed so far"
  backwards = claims.judge_stacking(stacked, alone).outcome
  assert backwards == "contradicted so far"
  crossed = [entry(seed=0, tests=[{"error": 0.12}]), stacked[1]]
  assert claims.judge_stacking(alone, crossed).outcome == "undecided"
  assert claims.judge_stacking(alone, []).outcome == "not measured"


def scored(purity, confusion):
  sweep = {"confusion": confusion, "hit_rate": 0.97}
  known = {"categories": {"purity": purity}}
  return entry(scores=known | {"control": {"class": {"sweep": sweep}}})


def judge_categories(**groups):
  """Return the outcomes of separation and of what categories draw."""
  return [verdict.outcome for verdict in claims.categories(zoo(**groups))]


def test_categories_are_judged_by_purity_and_by_what_they_draw():
  sharp = np.eye(2).tolist()
  mixed = [[1, 1], [1, 1]]
  m3 = [scored(0.9, sharp)]
  source = [scored(0.5, mixed)]
  assert judge_categories(m3=m3, source=source) == ["confirmed so far"] * 2
  assert judge_categories(m3=3 * m3, source=3 * source) == ["confirmed"] * 2
  for verdict in claims.categories(zoo(m3=3 * m3, source=3 * source)):
    assert verdict.reasons[-1] == "runs: 3 and 3"
  close = judge_categories(m3=m3, source=[scored(0.89, mixed)])
  assert close == ["undecided", "confirmed so far"]  # by a purity of 0.01
  beside = judge_categories(m3=m3, source=[scored(0.95, sharp)])
  assert beside == ["undecided"] * 2
  apart = judge_categories(m3=[scored(0.9, mixed)], source=[scored(0.5, sharp)])
  assert apart == ["confirmed so far", "contradicted so far"]
  labelled = judge_categories(m3=m3, m2=[scored(0.5, mixed)])
  assert labelled == ["not measured"] * 2  # M3 has no labels
  unjudged = entry(scores={"categories": {"purity": 0.9}, "control": {}})
  found = judge_categories(m3=m3, source=[unjudged])
  assert found == ["undecided", "not measured"]
  *_, verdict = claims.categories(zoo(m3=m3, source=[unjudged]))
  assert "entropy" in verdict.reasons[0]


def test_control_is_met_by_the_best_of_the_systems_that_were_judged():
  groups = {"SCVAE, 2 latents": [scored(1, [[1]])], "ilAAE, normal": [entry()]}
  assert claims.control(groups).outcome == "met so far"
  several = {title: 3 * group for title, group in groups.items()}
  assert claims.control(several).outcome == "met"
  low = scored(1, [[1]])
  low.scores["control"]["class"]["sweep"]["hit_rate"] = 0.96
  assert claims.control({"ilAAE, normal": [low]}).outcome == "missed so far"
  assert claims.control({"VAE, 2 latents": [low]}).outcome == "not measured"
  low.scores["unlabelled"] = True
  assert claims.hits(low) is None  # nobody said which category is which


def faces(frechet, sliced, lpips, psnr, kl=40.0):
  known = {"frechet_vgg16": frechet, "sliced": sliced, "lpips": lpips}
  found = entry(tests=[{"psnr": psnr}], likeness=known)
  found.config.loss = SimpleNamespace(kl=kl)
  found.config.model = SimpleNamespace(features=SimpleNamespace(network="vgg"))
  return [found]


@pytest.mark.parametrize(
  ("low", "generates", "reconstructs"),
  [
    ((90, 0.9, 0.3, 20.0), "confirmed", "confirmed"),
    ((90, 0.96, 0.3, 20.45), "undecided", "undecided"),  # one by too little
    ((110, 1.1, 0.1, 21.0), "contradicted", "contradicted"),
  ],
)
def test_low_and_high_layers_are_judged_by_all_measures(
  low, generates, reconstructs
):
  known = zoo(low=faces(*low), high=faces(100, 1.0, 0.2, 20.5))
  for judge, wanted in (
    (claims.generation, generates),
    (claims.reconstruction, reconstructs),
  ):
    found = judge(known)
    few = " so far" * (wanted != "undecided")
    assert found.outcome == wanted + few
    assert found.reasons[-1] == "runs: 1 and 1"
    several = {title: 3 * group for title, group in known.groups.items()}
    assert judge(Zoo(several, [], [])).outcome == wanted
  other = zoo(low=faces(*low, kl=1.0), high=faces(100, 1.0, 0.2, 20.5))
  assert claims.generation(other).outcome == "not measured"
  lacking = zoo(low=faces(*low))
  assert claims.generation(lacking).reasons == [
    f"no Fréchet distance (VGG16) of {claims.HIGH}"
  ]


@pytest.mark.parametrize("gains", [(1.0, np.nan), (np.nan, 1.0), (np.nan,)])
def test_a_gain_that_is_no_number_decides_nothing_wherever_it_stands(gains):
  assert outcome_of(gains) == "undecided"


def test_settings_are_chosen_on_training_digits_that_are_held_out():
  plain, chosen = (
    configs.load(f"configs/zoo.py:m2,labels=100,full{more}")
    for more in ("", ",holdout")
  )
  assert (plain.data.holdout, chosen.data.holdout) == (0, 6)
  assert chosen.loss.labelled == 100 / 50_000
  assert chosen.loss.l2 == 0.5 / 50_000
  assert plain.loss.labelled == 100 / 60_000
