"""Trackers show a run elsewhere, and never decide whether it trains."""

import json

import numpy as np
import pytest

from cvae_jax import config as configs, train
from cvae_jax.loop import trackers
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.record import Record
from cvae_jax.settings import ConfigError
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")
PARAMS = {"net": {"bias": np.zeros(3, np.float32)}}
GRID = {"drawn": np.full((2, 3, 8, 8, 1), 0.5)}


class Fake:
  """Notes what it is shown, and fails where it is told to."""

  def __init__(self, fails="", error=None):
    self.fails = fails
    self.error = error or RuntimeError("no connection")
    self.begun = []
    self.rows = []
    self.pictures = []
    self.closed = []

  def _do(self, name):
    if name == self.fails:
      raise self.error

  def start(self, begun):
    self._do("start")
    self.begun.append(begun)
    return "run-1"

  def row(self, row):
    self._do("row")
    self.rows.append((row["step"], row["split"]))

  def picture(self, name, step, picture):
    self._do("picture")
    self.pictures.append((name, step, picture.shape))

  def close(self, done):
    self.closed.append(done)
    self._do("close")


def launch(folder, shown, first=0, last=4):
  """Writes what a training from a checkpoint at `first` to `last` writes."""
  record = Record(folder, shown)
  done = False
  try:
    record.start(configs.load("zoo:vae,smoke"), {}, first, PARAMS)
    for step in range(first + 1, last + 1):
      for split in ("train", "test"):
        record.metrics({"step": step, "split": split, "epoch": 1, "loss": 1.0})
    record.grids(last, GRID)
    done = last == 6
  finally:
    record.close(done)


ROWS = [(step, split) for step in range(1, 7) for split in ("train", "test")]


def test_a_tracker_sees_the_config_each_row_the_pictures_and_the_end(tmp_path):
  fake = Fake()
  launch(tmp_path, [fake], last=6)
  assert fake.begun[0].config["optim"]["lr"] == 1e-3
  assert fake.begun[0][2:] == (0, None)
  assert fake.rows == ROWS
  assert fake.pictures == [("drawn", 6, (18, 28, 1))]
  assert fake.closed == [True]


def test_a_resumed_run_goes_on_in_the_same_place_and_repeats_no_row(tmp_path):
  one = Fake()
  other = Fake()
  launch(tmp_path, [one], last=4)
  launch(tmp_path, [other], first=2, last=6)  # 3 and 4 were taken back
  assert other.begun[0][2:] == (2, "run-1")
  assert one.rows + other.rows == ROWS
  assert [(r["step"], r["split"]) for r in read_metrics(tmp_path)] == ROWS


def test_a_tracker_that_comes_later_is_shown_the_rows_so_far(tmp_path):
  launch(tmp_path, [])
  fake = Fake()
  launch(tmp_path, [fake], first=2, last=6)
  assert fake.begun[0][2:] == (2, None)
  assert fake.rows == ROWS


def test_a_run_is_the_same_with_and_without_a_tracker(tmp_path):
  launch(tmp_path, [Fake()])
  record = Record(tmp_path)
  record.check(configs.load("zoo:vae,smoke"), {})  # raises nothing
  launch(tmp_path, [], first=4, last=6)
  assert json.loads((tmp_path / trackers.FILE).read_text())
  assert "track" not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("fails", ["start", "row", "picture", "close"])
def test_a_tracker_that_fails_is_dropped_with_one_warning(
  tmp_path, capsys, fails
):
  broken = Fake(fails)
  sound = Fake()
  launch(tmp_path, [broken, sound], last=6)
  said = capsys.readouterr().out
  assert said.count("warning") == 1
  assert "tracker Fake 0 failed (RuntimeError: no connection)" in said
  assert "metrics.jsonl has the numbers" in said
  assert broken.closed  # what it opened is not left open
  assert sound.rows == ROWS
  assert len(read_metrics(tmp_path)) == 12
  assert (tmp_path / "DONE").exists()


def test_a_tracker_may_end_the_training_on_purpose(tmp_path):
  with pytest.raises(trackers.Stop):
    launch(tmp_path, [Fake("row", trackers.Stop())])
  assert len(read_metrics(tmp_path)) == 1


def test_a_damaged_file_of_names_costs_a_warning_and_a_new_place(
  tmp_path, capsys
):
  launch(tmp_path, [Fake()])
  (tmp_path / trackers.FILE).write_text("{")
  fake = Fake()
  launch(tmp_path, [fake], first=4, last=6)
  assert "trackers.json" in capsys.readouterr().out
  assert fake.begun[0].known is None


def test_a_training_shows_what_it_records_and_outlives_its_tracker(
  data, tmp_path
):
  sound = Fake()
  broken = Fake("row", OSError("gone"))
  config = small.config(data)
  train.train_and_evaluate(config, tmp_path, trackers=[broken, sound])
  assert sound.rows == [(r["step"], r["split"]) for r in read_metrics(tmp_path)]
  assert {name for name, *_ in sound.pictures} == {
    "conditions",
    "reconstruction",
  }
  assert sound.closed == [True]
  assert broken.rows == []


def test_an_unknown_tracker_is_named_with_those_there_are():
  with pytest.raises(ConfigError, match="did you mean 'wandb'") as error:
    trackers.load("wandby")
  assert "mlflow, trackio, wandb" in str(error.value)


@pytest.mark.parametrize("name", trackers.names())
def test_a_tracker_that_is_not_installed_says_what_to_install(
  name, monkeypatch, tmp_path
):
  monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ConfigError, match=r'pip install "cvae_jax\[track\]"'):
    Record(tmp_path, [name])
  assert list(tmp_path.iterdir()) == []


def test_a_folder_called_wandb_is_not_taken_for_the_package(
  tmp_path, monkeypatch
):
  (tmp_path / "wandb").mkdir()
  monkeypatch.setattr("sys.path", [str(tmp_path)])
  monkeypatch.delitem(trackers.importlib.sys.modules, "wandb", raising=False)
  with pytest.raises(ConfigError, match="needs the package wandb"):
    trackers.load("wandb")


QUIET = (
  "ignore::DeprecationWarning",
  "ignore::FutureWarning",
  "ignore::UserWarning",
  "ignore::ResourceWarning",
  "ignore::pytest.PytestUnraisableExceptionWarning",
)


def quiet(test):
  """Leaves the warnings of other packages to them."""
  for text in QUIET:
    test = pytest.mark.filterwarnings(text)(test)
  return test


@quiet
def test_wandb_offline_keeps_both_launches_under_one_name(
  tmp_path, monkeypatch
):
  pytest.importorskip("wandb")
  monkeypatch.setenv("WANDB_MODE", "offline")
  launch(tmp_path, ["wandb"])
  launch(tmp_path, ["wandb"], first=2, last=6)
  name = json.loads((tmp_path / trackers.FILE).read_text())["wandb"]
  files = list(tmp_path.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb"))
  assert files
  content = b"".join(path.read_bytes() for path in files)
  for word in (b"train/loss", b"test/loss", b"samples/drawn", b"optim"):
    assert word in content
  assert list(tmp_path.glob("wandb/*/files/media/images/samples/*.png"))


@quiet
def test_mlflow_has_each_step_once_and_the_config(tmp_path, monkeypatch):
  mlflow = pytest.importorskip("mlflow")
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
  run = tmp_path / "run"
  launch(run, ["mlflow"])
  launch(run, ["mlflow"], first=2, last=6)
  name = json.loads((run / trackers.FILE).read_text())["mlflow"]
  client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
  history = client.get_metric_history(name, "train/loss")
  assert [metric.step for metric in history] == [1, 2, 3, 4, 5, 6]
  found = client.get_run(name)
  assert found.data.params["optim.lr"] == "0.001"
  assert found.info.status == "FINISHED"
  pictures = {p.path for p in client.list_artifacts(name, "samples")}
  assert pictures == {"samples/000004_drawn.png", "samples/000006_drawn.png"}


@quiet
def test_trackio_has_each_step_once_under_one_name(tmp_path, monkeypatch):
  pytest.importorskip("trackio")
  from trackio.sqlite_storage import SQLiteStorage

  monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "db")
  monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "db"))
  run = tmp_path / "run"
  run.mkdir()
  launch(run, ["trackio"])
  launch(run, ["trackio"], first=2, last=6)
  name = json.loads((run / trackers.FILE).read_text())["trackio"]
  path = SQLiteStorage.get_project_db_path("cvae_jax")
  assert path.is_relative_to(tmp_path)
  logs = SQLiteStorage.get_logs("cvae_jax", name)
  steps = sorted(log["step"] for log in logs if "train/loss" in log)
  assert steps == [1, 2, 3, 4, 5, 6]
