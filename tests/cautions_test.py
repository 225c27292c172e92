"""Warnings of a run whose steps train nothing, or whose watched loss rises."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, data
from cvae_jax.loop import job_checks
from cvae_jax.loop.folder.run_data import name_arrays
from cvae_jax.loop.job import prepare
from tests import small

COSINE = {"optim.schedule": "cosine", "optim.steps": 20}
WARM = {"loss.kl.warmup": 15, "early_stop.metric": "loss"}


def cautions(changes, page="zoo:vae"):
  return job_checks.cautions(configs.load(page, changes), 10, 40)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_rate_that_is_0_before_the_run_ends_is_named(name):
  (said,) = cautions(COSINE | {"optim.schedule": name})
  assert f"optim.schedule={name}" in said
  assert "after 20 steps" in said
  assert "other 20 of the run's 40" in said
  assert "--config.optim.steps=40" in said


@pytest.mark.parametrize(
  "changes",
  [
    {},
    COSINE | {"optim.steps": 40},
    COSINE | {"optim.final": 0.1},
    COSINE | {"optim.schedule": "stages", "optim.final": 0.1},
  ],
)
def test_a_rate_that_stays_above_0_is_not(changes):
  assert not cautions(changes)


def test_a_watched_loss_whose_weight_of_the_kl_rises_is_named():
  (said,) = cautions(WARM)
  assert "watched by early_stop, and" in said
  assert "until step 15" in said
  assert "--config.early_stop.metric=elbo" in said
  (said,) = cautions(WARM | {"plateau.metric": "loss", "loss.kl.cycles": 3})
  assert "watched by early_stop and plateau, and" in said
  assert "until step 90" in said


def test_so_is_one_whose_grey_term_begins_later():
  (said,) = cautions({"early_stop.metric": "loss"}, "digits:model=4")
  assert "weights change until step" in said


@pytest.mark.parametrize(
  "changes",
  [
    WARM | {"early_stop.metric": "elbo", "early_stop.mode": "max"},
    WARM | {"loss.kl.warmup": 10},
    WARM | {"evaluate_every_epochs": 2},
  ],
)
def test_a_loss_whose_weights_stay_the_same_is_not(changes):
  assert not cautions(changes)


@pytest.mark.parametrize("more", [{}, {"loss.kl.capacity": 5.0}])
def test_a_warm_up_that_the_run_does_not_end_is_named(more):
  (said,) = cautions(more | {"loss.kl.warmup": 41})
  assert "rises until step 41 and the run ends at step 40" in said
  assert not cautions(more | {"loss.kl.warmup": 40})


@pytest.mark.parametrize("rule", ["early_stop", "plateau"])
@pytest.mark.parametrize(
  ("metric", "mode"), [("elbo", "max"), ("psnr", "max"), ("loss", "min")]
)
def test_a_mode_that_takes_the_worst_state_for_the_best_is_named(
  rule, metric, mode
):
  wrong = {"max": "min", "min": "max"}[mode]
  changes = {f"{rule}.metric": metric, f"{rule}.mode": wrong}
  (said,) = cautions(changes)
  assert f"{rule}.mode={wrong} takes the worst {metric}" in said
  assert f"--config.{rule}.mode={mode}" in said
  assert not cautions(changes | {f"{rule}.mode": mode})


def test_a_metric_that_only_its_system_knows_may_have_any_mode():
  changes = {"early_stop.metric": "kl", "early_stop.mode": "max"}
  assert not cautions(changes)


def test_a_launch_says_them():
  images = np.zeros((32, 28, 28), np.uint8)
  dataset = data.from_arrays(images, {"class": [0, 1] * 16}, held_out=0.25)
  changes = COSINE | WARM | {"batch_size": 2, "epochs": 2}
  config = name_arrays(configs.load("zoo:vae", changes))
  job = prepare(config, dataset=dataset)
  state = jax.eval_shape(job.system.init, jax.random.key(0))
  said = job.summary(state)
  assert "change no parameter" in said
  assert "the loss is watched" in said


@pytest.mark.parametrize("metric", ["elbo", "score.test.elbo"])
def test_a_search_for_more_of_a_metric_says_so(metric, tmp_path):
  order = [sys.executable, "-m", "launch.tune", f"--workdir={tmp_path / 'a'}"]
  order += ["--config=zoo:vae,smoke", "--space=optim.lr=log:1e-4..1e-2"]
  order += [f"--metric={metric}"]
  done = subprocess.run(order, cwd=small.ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert f"more of {metric} is better" in done.stderr
  assert "give --direction=max, or" in done.stderr
  assert not (tmp_path / "a").exists()
