"""The ledger: small files that stand for finished runs."""

import hashlib
import json
from pathlib import Path

import pytest

from cvae_jax import config as configs
from cvae_jax.host.files import DamagedFile
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.measures import kept, ledger, table, verify
from tests import small
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


def identity(*pixels):
  """Return a data.json of one image [H, W, C] for training and none to test."""
  image = {"shape": [1, 2, 2, 1], "dtype": "uint8"}
  image["sha256"] = hashlib.sha256(bytes(pixels)).hexdigest()
  return {"train": {"image": image}, "test": None}


def recorded(path, data=None, **changed):
  """Return a run's folder with a data.json, or without one as older runs."""
  folder = record(path, [1.0], **changed)
  if data is not None:
    (folder / "data.json").write_text(json.dumps(data))
  return Folder(folder)


def test_runs_of_other_data_have_files_of_their_own(tmp_path):
  out = tmp_path / "results"
  data = {name: identity(at) for at, name in enumerate("abc")}
  runs = {name: recorded(tmp_path / name, data[name]) for name in data}
  files = {name: ledger.write(run, out) for name, run in runs.items()}
  assert len({*files.values()}) == 3
  for name, path in files.items():
    assert ledger.Entry(path).content["data"] == data[name]
  # In any order each is found again, also from elsewhere.
  for name in "cab":
    assert ledger.write(runs[name], out) == files[name]
  moved = recorded(tmp_path / "moved", data["b"], data__path="/elsewhere")
  assert ledger.write(moved, out) == files["b"]
  other = recorded(tmp_path / "other", data["b"], optim__lr=0.5)
  assert ledger.write(other, out) not in files.values()
  assert len(ledger.below(out)) == 4


def test_entries_of_older_releases_are_found_again(tmp_path):
  """By config: with a key less, another hash in the name, data in short."""
  out = tmp_path / "results"
  first = ledger.write(recorded(tmp_path / "a"), out)
  second = ledger.write(recorded(tmp_path / "b", optim__lr=0.5), out)
  older = second.rename(out / "digits_smoke,e0dc5c.json")
  for path in (first, older):
    content = json.loads(path.read_text())
    del content["config"]["distance"]  # came later, and is at its default
    content["data"] = {"rows": 2976, "sha256": "82c1"}
    path.write_text(json.dumps(content))
  again = recorded(tmp_path / "c", identity(1), optim__lr=0.5)
  assert ledger.write(again, out) == older
  assert ledger.write(recorded(tmp_path / "d", identity(1)), out) == first
  assert len(ledger.below(out)) == 2


def test_another_program_s_file_of_an_entry_s_name_is_left_alone(tmp_path):
  (tmp_path / "results").mkdir()
  taken = tmp_path / "results" / "digits_smoke.json"
  taken.write_text("{}")
  assert ledger.write(recorded(tmp_path / "a"), taken.parent) != taken
  assert taken.read_text() == "{}"


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


def test_an_export_comes_into_no_ledger():
  with pytest.raises(ledger.LedgerError, match=r"is an export, .*run itself"):
    ledger.check(Folder(small.ROOT / "pretrained" / "digits"))
