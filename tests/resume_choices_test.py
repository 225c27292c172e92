"""Each system and each choice resumes as if nothing had happened."""

import itertools

import pytest

from benchmarks import equal_runs
from cvae_jax import train
from cvae_jax.loop import dispatch
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs", "plain_convolutions")


@pytest.mark.parametrize(
  ("system", "changes", "step"),
  [
    ("classifier", {}, 16),
    (
      "cvae",
      {
        "optim__name": "lion",
        "optim__schedule": "cosine",
        "optim__steps": 20,
        "optim__ema": 0.9,
        "optim__accumulate": 2,
        "loss__objective": "tc",
        "steps_per_dispatch": 4,
        "log_every": 4,
        "checkpoint_every": 8,
      },
      16,
    ),
    (
      "cvae",
      {
        "data__binarise": "dynamic",
        "loss__likelihood": "sigma",
        "loss__kl__warmup": 10,
        "loss__kl__free_bits": 0.1,
        "prior__name": "vamp",
        "prior__components": 3,
      },
      9,
    ),
    ("adgm", {}, 9),
    ("hierarchy", {"epochs": 1, "loss__kl__free_bits": 0.01}, 5),
    ("cvae", {"loss__objective": "dip_ii"}, 9),
    (
      "vae",
      {"loss__objective": "factor", "loss__discriminator": (4,)},
      9,
    ),
  ],
)
def test_other_systems_and_scanned_steps_resume_exactly_too(
  data, tmp_path, system, changes, step
):
  config = small.config(data, system, **changes)
  train.train_and_evaluate(config, tmp_path / "whole")
  small.stop(config, tmp_path / "stopped", step)
  train.train_and_evaluate(config, tmp_path / "stopped")
  assert equal_runs.differences(tmp_path / "whole", tmp_path / "stopped") == []


@pytest.mark.parametrize("stride", [1, 3, 4, 24])
def test_a_run_that_goes_on_between_two_dispatches_is_back_on_their_grid(
  stride,
):
  # As after a loss that was not finite: the state before it is saved.
  for start in range(24):
    ends = [start]
    while ends[-1] < 24:
      ends.append(dispatch.end_after(ends[-1], stride, 24))
    assert ends[-1] == 24
    assert [end % stride for end in ends[1:]] == [0] * (len(ends) - 1)
    assert max(b - a for a, b in itertools.pairwise(ends)) <= stride
