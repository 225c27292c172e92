"""How many updates are one dispatch, where the config leaves it open."""

import json

import pytest

from benchmarks import equal_runs
from cvae_jax import train
from cvae_jax.config import ConfigError
from cvae_jax.loop import job
from tests import small

EVEN = {"log_every": 4, "checkpoint_every": 8, "epochs": 1}


@pytest.mark.parametrize(
  ("system", "changes", "stride"),
  [
    ("vae", EVEN, 4),  # the greatest that divides 12, 4 and 8
    ("vae", EVEN | {"steps_per_dispatch": 2}, 2),
    ("vae", EVEN | {"steps_per_dispatch": 1}, 1),
    ("vae", EVEN | {"log_every": 3}, 1),
    ("vae", EVEN | {"model.encoder.widths": (3000,)}, 1),
    ("cvae", EVEN, 1),  # it has convolutions
  ],
)
def test_small_dense_networks_make_several_updates_at_a_time(
  data, system, changes, stride
):
  config = small.config(data, system, **changes)
  assert job.prepare(config).stride == stride


def test_a_run_goes_on_with_another_number_and_the_same_bits(
  data, tmp_path, capsys
):
  single = small.config(data, "vae", **EVEN, steps_per_dispatch=1)
  train.train_and_evaluate(single, tmp_path / "single")
  small.stop(single, tmp_path / "chosen", 8)
  chosen = small.config(data, "vae", **EVEN)
  train.train_and_evaluate(chosen, tmp_path / "chosen")
  assert "steps_per_dispatch: 1 → 4" in capsys.readouterr().out
  folders = tmp_path / "single", tmp_path / "chosen"
  assert equal_runs.differences(*folders) == []
  recorded = [
    [launch["bits"]["steps_per_dispatch"] for launch in json.loads(text)]
    for text in ((f / "environment.json").read_text() for f in folders)
  ]
  assert recorded == [[1], [1, 4]]


def test_a_negative_number_is_refused(data):
  config = small.config(data, "vae", steps_per_dispatch=-1)
  with pytest.raises(ConfigError, match="steps_per_dispatch=-1; expected 1 or"):
    job.prepare(config)
