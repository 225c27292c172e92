"""A run's folder holds what was asked, where it ran and what came out."""

import errno
import json
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from tensorboardX.record_writer import RecordWriter

from benchmarks import equal_runs
from cvae_jax import config as configs, train
from cvae_jax.defaults import LOOP, fill_missing
from cvae_jax.host.files import write_atomically
from cvae_jax.loop import record as record_module
from cvae_jax.loop.folder import rows
from cvae_jax.loop.folder.restore import abstract_state
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.record import (
  Record,
  RecordError,
  RunMismatch,
  parameter_table,
)
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  """A finished small run; tests do not write to it."""
  folder = tmp_path_factory.mktemp("run")
  train.train_and_evaluate(small.config(data), folder)
  return folder


def table_of(file):
  config = configs.load(file)
  return parameter_table(abstract_state(configs.resolve(config)).params)


def test_parameters_of_the_published_digits_network_are_its_4455057():
  lines = table_of("configs/digits.py").splitlines()
  assert lines[-1].split() == ["total", "4,455,057"]
  words = [line.split() for line in lines]
  assert ["encoder/conv_0/kernel", "(3,", "3,", "1,", "32)", "288"] in words
  totals = {w[0]: int(w[-1].replace(",", "")) for w in words if "all" in w}
  assert totals.keys() == {"encoder", "decoder"}
  assert sum(totals.values()) == 4_455_057


def test_parameters_of_the_classifier_are_its_526362():
  assert table_of("configs/classifier.py").split()[-2:] == ["total", "526,362"]


def test_the_folder_holds_what_it_should(run):
  names = {path.name.split(".tfevents")[0] for path in run.iterdir()}
  assert names == {
    "config.json",
    "conditions.json",
    "data.json",
    "environment.json",
    "parameters.txt",
    "metrics.jsonl",
    "events.out",
    "checkpoints",
    "samples",
    "DONE",
    ".lock",
  }


def test_config_json_is_the_config(run):
  config = configs.from_json((run / "config.json").read_text())
  assert config.batch_size == 32
  assert config.model.encoder.features == [4]


def test_environment_json_says_where_and_with_what(run):
  (launch,) = json.loads((run / "environment.json").read_text())
  assert launch["packages"]["jax"] == jax.__version__
  assert launch["device"] == str(jax.devices()[0])
  assert launch["argv"]
  assert launch.keys() >= {"time", "commit", "uncommitted", "python", "cores"}


def test_parameters_txt_adds_up(run):
  *rows, total = (run / "parameters.txt").read_text().splitlines()
  arrays = [row for row in rows if " in all" not in row]
  sizes = [int(row.split()[-1].replace(",", "")) for row in arrays]
  assert total.split() == ["total", f"{sum(sizes):,}"]


def test_metrics_come_at_their_intervals_and_splits(run):
  steps = {"train": [], "epoch": [], "test": []}
  for row in read_metrics(run):
    steps[row["split"]].append(row["step"])
    assert row["epoch"] == pytest.approx(row["step"] / small.EPOCH, abs=1e-6)
  assert steps == {
    "train": list(range(3, 25, 3)),
    "epoch": [12, 24],
    "test": [12, 24],
  }


def test_rows_hold_every_term_the_schedules_and_the_speed(run):
  rows = {row["split"]: row for row in read_metrics(run)}
  terms = {
    "loss",
    "weighted_squared_error",
    "kl",
    "grey",
    "l2",
    "elbo",
    "gradient_norm",
  }
  assert rows["train"].keys() == {
    *("step", "split", "epoch", "time/examples_per_second"),
    *("schedule/learning_rate", "schedule/grey_weight"),
    *(f"model/{term}" for term in terms),
  }
  assert rows["test"].keys() >= {
    "loss",
    "weighted_squared_error",
    "kl",
    "elbo",
    "psnr",
  }


def test_an_epoch_row_is_the_mean_of_its_train_rows(run):
  rows = read_metrics(run)
  windows = [
    row["model/loss"]
    for row in rows
    if row["split"] == "train" and row["step"] <= small.EPOCH
  ]
  (epoch, _) = (row["model/loss"] for row in rows if row["split"] == "epoch")
  assert epoch == pytest.approx(np.mean(windows))  # windows of equal length


def test_schedules_are_those_of_the_update_that_made_the_step(run):
  weights = {
    row["step"]: row["schedule/grey_weight"]
    for row in read_metrics(run)
    if row["split"] == "train"
  }
  # grey_start is 10: the update number 11 is the first with the weight.
  assert weights[9] == 0
  assert weights[12] == pytest.approx(0.32)


def test_sample_grids_are_pictures_of_the_right_size(run):
  sizes = {}
  for path in (run / "samples").iterdir():
    with Image.open(path) as picture:
      sizes[path.name] = picture.size
      assert picture.mode == "L"
      assert np.ptp(np.asarray(picture)) > 0
  panel = (3 * (10 * 28 + 9 * 2), 3 * (8 * 28 + 7 * 2))  # 10 classes, 8 styles
  pairs = (3 * (10 * 28 + 9 * 2), 3 * (2 * 28 + 2))  # 10 digits and outputs
  assert sizes == {
    "000012_conditions.png": panel,
    "000024_conditions.png": panel,
    "000012_reconstruction.png": pairs,
    "000024_reconstruction.png": pairs,
  }


def test_tensorboard_has_an_event_file_with_the_metrics_names(run):
  (path,) = run.glob("events.out.tfevents.*")
  content = path.read_bytes()
  for name in (b"train/model/loss", b"test/psnr", b"samples/conditions"):
    assert name in content


def test_names_with_blanks_are_no_news_to_tensorboard(tmp_path, caplog):
  record = start(tmp_path)
  with caplog.at_level("INFO"):
    record.metrics({"step": 1, "split": "test", "error_Dosis (mg/l)": 0.5})
    record.close(done=True)
  assert "illegal" not in caplog.text
  (path,) = tmp_path.glob("events.out.tfevents.*")
  assert b"test/error_Dosis__mg/l_" in path.read_bytes()
  assert read_metrics(tmp_path)[0]["error_Dosis (mg/l)"] == 0.5


def start(folder, step=0):
  record = Record(folder)
  params = {"net": {"bias": np.zeros(3, np.float32)}}
  record.start(ConfigDict(), {}, step, params)
  return record


def test_rows_past_the_restored_step_go(tmp_path):
  record = start(tmp_path)
  for step in (1, 2, 3):
    record.metrics({"step": step, "split": "train", "loss": 0.1 * step})
  record.close(done=False)
  start(tmp_path, step=2).close(done=False)
  assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]


def test_every_launch_is_added_and_done_is_taken_back(tmp_path):
  start(tmp_path).close(done=True)
  assert (tmp_path / "DONE").exists()
  start(tmp_path).close(done=False)
  assert not (tmp_path / "DONE").exists()
  assert len(json.loads((tmp_path / "environment.json").read_text())) == 2


@pytest.mark.parametrize("nth", range(5))
def test_a_kill_while_a_finished_run_is_lengthened_leaves_it_unfinished(
  tmp_path, monkeypatch, nth
):
  start(tmp_path).close(done=True)
  written = []

  def write(path, content):
    if len(written) == nth:
      raise KeyboardInterrupt
    written.append(path)
    write_atomically(path, content)

  for module in ("record", "folder.launches"):
    monkeypatch.setattr(f"cvae_jax.loop.{module}.write_atomically", write)
  with pytest.raises(KeyboardInterrupt):
    start(tmp_path)
  assert not (tmp_path / "DONE").exists()


def test_a_start_reads_the_metrics_once(tmp_path, monkeypatch):
  config = ConfigDict(
    fill_missing(LOOP, {"system": "x", "data": {}, "model": {}})
  )
  first = Record(tmp_path)
  first.start(config, {}, 0, {})
  first.metrics({"step": 1, "split": "train", "loss": 1.0})
  first.close(False)
  read = []

  def parse(folder):
    read.append(folder)
    return rows.parse_metrics(folder)

  monkeypatch.setattr(record_module, "parse_metrics", parse)
  again = Record(tmp_path)
  again.check(config, {})
  again.start(config, {}, 1, {}, rows_saved=1)
  again.close(False)
  assert read == [tmp_path]
  assert again.rows == 1


def test_a_torn_last_line_is_not_read(tmp_path):
  whole = [{"step": 1, "split": "train"}, {"step": 2, "split": "train"}]
  lines = "".join(json.dumps(row) + "\n" for row in whole)
  (tmp_path / "metrics.jsonl").write_text(lines + '{"st')
  assert read_metrics(tmp_path) == whole


def test_a_folder_without_metrics_has_no_rows(tmp_path):
  assert read_metrics(tmp_path) == []


def test_numbers_survive_metrics_jsonl_to_the_last_bit(tmp_path):
  value = float(np.nextafter(1 / 3, 1))
  record = start(tmp_path)
  record.metrics({"step": 1, "split": "train", "loss": value})
  record.close(done=False)
  assert read_metrics(tmp_path)[0]["loss"] == value


def test_a_refused_config_leaves_the_folder_as_it_was(tmp_path):
  config = configs.load("configs/digits.py")
  record = Record(tmp_path)
  record.check(config, {"mean": [0.1]})
  params = {"net": {"bias": np.zeros(3, np.float32)}}
  record.start(config, {"mean": [0.1]}, 0, params)
  record.metrics({"step": 0, "split": "train"})
  record.close(done=False)
  before = (tmp_path / "config.json").read_text()
  other = configs.load("configs/digits.py", {"seed": 1, "epochs": 2})
  with pytest.raises(RunMismatch, match="seed: 0 → 1") as error:
    Record(tmp_path).check(other, {"mean": [0.1]})
  assert "epochs" not in str(error.value)
  assert (tmp_path / "config.json").read_text() == before
  with pytest.raises(RunMismatch, match=r"conditions\.json differs"):
    Record(tmp_path).check(config, {"mean": [0.2]})


def test_a_launch_that_fails_to_start_does_not_bind_the_folder_to_its_data(
  data, tmp_path
):
  config = small.config(data, init_from="nowhere")
  with pytest.raises(ValueError, match="nowhere is not a run's folder"):
    train.train_and_evaluate(config, tmp_path)
  assert not (tmp_path / "conditions.json").exists()


def test_conditions_without_a_config_are_of_no_run(tmp_path):
  (tmp_path / "conditions.json").write_text("{}")
  Record(tmp_path).check(configs.load("configs/digits.py"), {"mean": [0.1]})


def full(*_):
  """Stands for a write to a full disk."""
  raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["__init__", "write", "flush"])
def test_events_that_cannot_be_written_cost_one_warning_and_no_row(
  tmp_path, monkeypatch, capsys, name
):
  monkeypatch.setattr(RecordWriter, name, full)
  record = start(tmp_path)
  for step in range(30):  # more than tensorboardX's queue held
    record.metrics({"step": step, "split": "train", "loss": 0.5})
  record.sync()
  record.grids(30, {"drawn": np.zeros((1, 1, 4, 4, 1))})
  record.close(done=True)
  said = capsys.readouterr().out
  assert said.count("warning") == 1
  assert "events for TensorBoard cannot be written (No space left" in said
  assert len(read_metrics(tmp_path)) == 30
  assert (tmp_path / "samples" / "000030_drawn.png").exists()


def test_a_run_whose_events_fail_trains_on_and_hears_a_signal(
  data, run, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(RecordWriter, "write", full)
  seen = Record.metrics

  def metrics(record, row):
    seen(record, row)
    if row["step"] == 15:
      os.kill(os.getpid(), signal.SIGTERM)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Record, "metrics", metrics)
    with pytest.raises(train.Preempted):
      train.train_and_evaluate(small.config(data), tmp_path)
  train.train_and_evaluate(small.config(data), tmp_path)
  assert "training goes on without them" in capsys.readouterr().out
  assert equal_runs.differences(run, tmp_path) == []


@pytest.mark.parametrize(
  ("steps", "expected"),
  [
    ((), "no checkpoint is saved yet.*same command begins again"),
    ((7, 14), "checkpoint 14 is whole.*same command goes on from it"),
  ],
)
def test_metrics_that_cannot_be_written_name_the_file_and_the_way_on(
  tmp_path, steps, expected
):
  record = start(tmp_path)
  for step in steps:
    (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
  (tmp_path / "checkpoints" / "21.orbax-checkpoint-tmp").mkdir(parents=True)
  record._metrics.close()
  record._metrics = Path("/dev/full").open("a")  # noqa: SIM115
  with pytest.raises(RecordError, match=expected) as error:
    record.metrics({"step": 1, "split": "train", "loss": 0.5})
  assert str(tmp_path / "metrics.jsonl") in str(error.value)
  assert "No space left" in str(error.value)
  record.close(done=False)  # raises nothing over it
  assert not (tmp_path / "DONE").exists()


def test_a_picture_that_cannot_be_written_names_the_file_and_the_way_on(
  tmp_path, monkeypatch
):
  record = start(tmp_path)
  monkeypatch.setattr("cvae_jax.host.images.write_atomically", full)
  with pytest.raises(RecordError, match=r"000003_drawn\.png cannot be written"):
    record.grids(3, {"drawn": np.zeros((1, 1, 4, 4, 1))})
  record.close(done=False)


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("jax_default_prng_impl", "rbg"),
    ("jax_default_matmul_precision", "bfloat16"),
    ("jax_threefry_partitionable", False),
  ],
)
def test_a_run_that_goes_on_under_other_settings_says_so_in_a_line(
  tmp_path, capsys, name, value
):
  was = getattr(jax.config, name)
  start(tmp_path).close(done=False)
  start(tmp_path, step=1).close(done=False)
  assert "other settings" not in capsys.readouterr().out
  jax.config.update(name, value)
  try:
    start(tmp_path, step=1).close(done=False)
  finally:
    jax.config.update(name, was)
  lines = capsys.readouterr().out.splitlines()
  (said,) = [line for line in lines if "other settings" in line]
  assert said.endswith(f": {name}: {was!r} → {value!r}")


def test_a_run_from_before_settings_were_recorded_goes_on_in_silence(
  tmp_path, capsys
):
  start(tmp_path).close(done=False)
  path = tmp_path / "environment.json"
  launches = json.loads(path.read_text())
  assert launches[0]["bits"]["CVAE_JAX_TUNE"] is not None
  del launches[0]["bits"]
  path.write_text(json.dumps(launches))
  start(tmp_path, step=1).close(done=False)
  assert "settings" not in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["XLA_FLAGS", "CVAE_JAX_TUNE"])
def test_variables_that_change_bits_are_compared(
  tmp_path, capsys, monkeypatch, variable
):
  monkeypatch.setenv(variable, "")
  start(tmp_path).close(done=False)
  monkeypatch.setenv(variable, "1")
  start(tmp_path, step=1).close(done=False)
  assert f"{variable}: '' → '1'" in capsys.readouterr().out
