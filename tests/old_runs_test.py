"""Runs of the first release still load, sample and go on.

tests/old_runs holds one tiny run of each system, made by the code of the first
release, with what that code then computed: samples, codes, readings, and the
norm of each parameter after one more epoch.
"""

import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, runs, train
from tests import small

FOLDER = Path(__file__).parent / "old_runs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.zip"))

pytestmark = pytest.mark.usefixtures("plain_convolutions", "short_colours")


def unpack(name, folder):
  """Return a run's folder and what the old code computed with it."""
  with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
    archive.extractall(folder)
  facts = dict(np.load(folder / "facts.npz"))
  (folder / "facts.npz").unlink()
  return facts


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_loads_and_computes_what_it_did(name, tmp_path):
  facts = unpack(name, tmp_path)
  run = runs.load(tmp_path)
  condition = facts["condition"]
  found = {}
  if "sample" in facts:
    found["sample"] = run.decode(run.prior(len(condition), 3), condition)
  check_reads(run, facts, found)
  assert found or name == "colouring"


def check_reads(run, facts, found):
  """Read what the old code read, and compare it and `found` with its facts."""
  if "mean" in facts:
    found["mean"] = run.encode(facts["image"], facts["condition"]).mean
  if "predict" in facts:
    given = np.zeros((4, len(run.config.columns.given)))
    found["predict"] = run.predict(facts["image"], given)
  for key, value in found.items():
    np.testing.assert_allclose(value, facts[key], atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_goes_on_as_it_would_have(name, tmp_path, monkeypatch):
  small.evaluate_nothing(monkeypatch)
  facts = unpack(name, tmp_path)
  config = configs.from_json((tmp_path / "config.json").read_text())
  with config.unlocked():
    config.epochs = 2
  state = train.train_and_evaluate(config, tmp_path)
  assert int(state.step) == facts["step"]
  norms = [
    np.linalg.norm(np.asarray(leaf, np.float64))
    for leaf in jax.tree.leaves(state.params)
  ]
  np.testing.assert_allclose(norms, facts["norm_after"], rtol=2e-3, atol=1e-3)
