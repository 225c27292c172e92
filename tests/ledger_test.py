"""The ledger: small files that stand for finished runs."""

import json
from pathlib import Path

import pytest

from cvae_jax import config as configs
from cvae_jax.host.files import DamagedFile
from cvae_jax.measures import kept, ledger, table, verify
from tests.table_test import record

FIGURES = ("parameters", "epochs", "loss", "test loss", "test elbo", "launches")


@pytest.fixture
def run(tmp_path):
  """A finished run of data that lie somewhere on this machine."""
  path = record(tmp_path / "mine", [9.0, 1 / 3], data__path=str(tmp_path))
  kept.write(path, "variety", {"protocol": {}, "distances": {"error": 1 / 7}})
  judges = [{"run": str(tmp_path / "judge"), "step": 3}]
  kept.write(path, "scores", {"protocol": {"judges": judges}})
  return table.find([path])["mine"]


def test_an_entry_stands_for_its_run_in_a_table(run, tmp_path):
  ledger.write(run, tmp_path / "results")
  both = table.collect(run.path, tmp_path / "results")
  assert list(both["run"]) == ["digits_smoke", "mine"]
  for name in FIGURES:
    of_entry, of_run = both[name]
    assert of_entry == pytest.approx(of_run, rel=1e-5), name


def test_an_entry_keeps_what_was_measured(run, tmp_path):
  entry = ledger.Entry(ledger.write(run, tmp_path / "results"))
  assert entry.measures["variety"]["distances"]["error"] == 0.142857


def test_an_entry_names_no_place_of_the_machine(run, tmp_path):
  path = ledger.write(run, tmp_path / "results")
  assert str(tmp_path) not in path.read_text()
  judges = ledger.Entry(path).measures["scores"]["protocol"]["judges"]
  assert judges == [{"run": "judge", "step": 3}]


def test_a_page_s_runs_with_other_settings_have_files_of_their_own(tmp_path):
  out = tmp_path / "results"
  files = [
    ledger.write(table.find([record(path, [1.0], **changed)])[path.name], out)
    for path, changed in (
      (tmp_path / "a", {}),
      (tmp_path / "b", {"optim__lr": 0.5}),
      (tmp_path / "c", {"seed": 3}),
      (tmp_path / "d", {"log_every": 7}),  # no figure depends on it
    )
  ]
  assert files[0].name == "digits_smoke.json"
  assert files[1].name.startswith("digits_smoke,")
  assert files[2].name == "digits_smoke,seed=3.json"
  assert files[3] == files[0]
  assert len(ledger.below(out)) == 3


def test_a_run_that_has_not_ended_has_no_entry(run, tmp_path):
  (run.path / "DONE").unlink()
  with pytest.raises(ledger.LedgerError, match="when it has ended; go on"):
    ledger.write(run, tmp_path / "results")
  assert not (tmp_path / "results").exists()


def test_a_run_is_verified_beside_an_entry(run, tmp_path):
  entry = ledger.Entry(ledger.write(run, tmp_path / "results"))
  assert verify.matches(verify.compare(run.path, entry.rows))
  other = record(tmp_path / "other", [9.0, 1.0])
  epochs = verify.compare(other, entry.rows)
  assert [e.ratio for e in epochs] == pytest.approx([1.0, 3.0], rel=1e-5)


def test_a_name_that_is_none_is_answered_with_those_there_are(tmp_path):
  with pytest.raises(ledger.LedgerError, match=r"did you mean 'faces_model=9'"):
    ledger.open_run("faces_model=99")
  with pytest.raises(ledger.LedgerError) as unlike_all:
    ledger.open_run(str(tmp_path / "run"))
  named = str(unlike_all.value).split("the nearest: ")[1].split(", ")
  assert len(named) == 6  # of a ledger that grows with every training
  broken = tmp_path / "broken.json"
  broken.write_text("{}")
  with pytest.raises(DamagedFile, match="is no entry of a ledger"):
    ledger.open_run(str(broken)).config  # noqa: B018 (it reads the file)


def test_the_project_s_entries_are_whole():
  entries = ledger.below(ledger.folder())
  assert len(entries) == len(list(ledger.folder().glob("*.json")))
  for entry in entries:
    assert entry.split("epoch"), entry.path
    assert entry.config.name, entry.path
    assert json.loads(configs.to_json(entry.config))["system"]
    assert not Path(entry.config.data.path).is_absolute(), entry.path
