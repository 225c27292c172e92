"""Exports of the first release still load and compute what they did.

tests/old_exports holds one tiny export of each system, made from the runs of
tests/old_runs, with what the code of that time computed: facts.npz.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from cvae_jax import runs
from tests import old_runs_test

FOLDER = Path(__file__).parent / "old_exports"
NAMES = sorted(path.stem for path in FOLDER.glob("*.zip"))

pytestmark = pytest.mark.usefixtures("plain_convolutions")


def test_each_family_has_an_export_and_none_is_large():
  runs_of = {path.stem for path in FOLDER.with_name("old_runs").glob("*.zip")}
  assert {*NAMES} == runs_of
  assert max(path.stat().st_size for path in FOLDER.iterdir()) < 1 << 20


@pytest.mark.parametrize("name", NAMES)
def test_an_old_export_loads_and_computes_what_it_did(name, tmp_path):
  with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
    archive.extractall(tmp_path)
  facts = dict(np.load(tmp_path / "facts.npz"))
  run = runs.load(tmp_path)
  condition = facts["condition"]
  found = {}
  if "sample" in facts:  # a decoded image is clipped since
    facts["sample"] = np.clip(facts["sample"], 0, 1)
    found["sample"] = run.sample(condition, seed=3)
  old_runs_test.check_reads(run, facts, found)
  assert found or name == "colouring"
