"""Runs are neither lost nor mixed up, wherever they lie and whatever breaks."""

import json
import os
import shutil
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import runs, train
from cvae_jax.host import lock
from cvae_jax.host.files import DamagedFile
from cvae_jax.loop.folder import fixed, same_run
from cvae_jax.loop.folder.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
)
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.record import RunMismatch
from cvae_jax.types import TrainState
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")

EPOCHS = 2
STEPS = EPOCHS * small.EPOCH  # checkpoints at 21 and 24


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
  """A run that nothing disturbed; tests work on copies."""
  folder = tmp_path_factory.mktemp("whole") / "run"
  train.train_and_evaluate(small.config(data), folder)
  return folder


@pytest.fixture
def copy(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / "copy")


def arrays(folder, step=STEPS):
  """Return the largest file of a checkpoint's arrays."""
  files = (folder / f"checkpoints/{step}/state").rglob("*/d/*")
  return max(files, key=lambda path: path.stat().st_size)


def flip(path, at=None):
  content = bytearray(path.read_bytes())
  content[len(content) // 2 if at is None else at] ^= 1
  path.write_bytes(content)


# Paths


@pytest.mark.parametrize(
  "name",
  ["run[1]", "lr=[0.1,0.2]*?", "{a} %d $x 'é\"", "par[2]/run", "n" * 200],
)
def test_a_run_in_a_folder_of_any_legal_name_can_be_read_again(
  tmp_path, name, whole
):
  state = TrainState(
    step=np.int32(3), params={"a": np.ones(4)}, model_state={}, opt_state={}
  )
  folder = tmp_path / name
  checkpoints = Checkpoints(folder)
  checkpoints.save(3, state, {"one": 1})
  checkpoints.close()
  again = Checkpoints(folder, read_only=True)
  restored, counters = again.restore(3, jax.eval_shape(lambda: state))
  again.close()
  np.testing.assert_array_equal(restored.params["a"], 1)
  assert counters == {"one": 1}
  shutil.copytree(whole, folder / "whole")
  assert int(runs.load(folder / "whole").state.step) == STEPS


# One writer


def test_a_second_training_in_a_folder_is_refused_and_named(
  data, tmp_path, monkeypatch
):
  with (
    lock.hold(tmp_path, "training"),
    pytest.raises(lock.FolderInUse, match=f"process {os.getpid()} on .* train"),
  ):
    train.train_and_evaluate(small.config(data), tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_lock_ends_with_the_process_that_held_it(tmp_path):
  code = (
    "import os, sys\nfrom cvae_jax.host import lock\n"
    "with lock.hold(sys.argv[1], 'training'): os.kill(os.getpid(), 9)"
  )
  subprocess.run([sys.executable, "-c", code, tmp_path], cwd=small.ROOT)
  with lock.hold(tmp_path, "training"):
    pass


# Damaged checkpoints


def empty(path):
  path.write_bytes(b"")


def cut(path):
  path.write_bytes(path.read_bytes()[:100])


def zero(path):
  path.write_bytes(bytes(path.stat().st_size))


DAMAGE = {
  "a flipped bit": lambda c: flip(arrays(c.parent.parent)),
  "an array cut short": lambda c: cut(arrays(c.parent.parent)),
  "zeros": lambda c: zero(arrays(c.parent.parent)),
  "no state": lambda c: shutil.rmtree(c / "state"),
  "no counters": lambda c: shutil.rmtree(c / "counters"),
  "nothing in it": lambda c: [shutil.rmtree(c), c.mkdir()],
  "an empty list of arrays": lambda c: empty(c / "state/_METADATA"),
  "no list of arrays": lambda c: (c / "state/_METADATA").unlink(),
  "no index": lambda c: (c / "state/manifest.ocdbt").unlink(),
  "counters cut": lambda c: empty(c / "counters/metadata"),
  "counters of another kind": lambda c: (c / "counters/metadata").write_text(
    "[]"
  ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_set_aside_and_nothing_is_lost(
  data, whole, copy, capsys, damage
):
  DAMAGE[damage](copy / f"checkpoints/{STEPS}")
  (copy / "DONE").unlink()
  assert int(runs.load(copy).state.step) == 21
  assert f"checkpoints/{STEPS} is damaged" in capsys.readouterr().out
  train.train_and_evaluate(small.config(data), copy)
  assert "set aside" in capsys.readouterr().out
  assert (copy / f"checkpoints/{STEPS}.damaged").is_dir()
  assert equal_runs.differences(whole, copy) == []


def test_without_a_whole_checkpoint_nothing_is_begun_anew(data, copy):
  for step in (21, 24):
    flip(arrays(copy, step))
  with pytest.raises(CheckpointError, match="no whole checkpoint is left"):
    train.train_and_evaluate(small.config(data), copy)
  assert len(read_metrics(copy)) > 0


def test_a_damaged_checkpoint_that_was_asked_for_is_refused(copy):
  flip(arrays(copy, 21))
  with pytest.raises(Damaged, match="checkpoints/21 is damaged"):
    runs.load(copy, step=21)


def test_a_checkpoint_under_another_step_s_name_is_noticed(copy):
  (copy / "checkpoints/21").rename(copy / "checkpoints/22")
  with pytest.raises(Damaged, match="its state is of step 21"):
    runs.load(copy, step=22)


def test_a_link_in_a_checkpoint_is_refused(copy):
  path = arrays(copy)
  path.rename(copy / "elsewhere")
  path.symlink_to(copy / "elsewhere")
  with pytest.raises(CheckpointError, match="is a link"):
    runs.load(copy)


def test_checkpoints_of_another_run_are_refused(data, copy, tmp_path):
  other = tmp_path / "other"
  train.train_and_evaluate(small.config(data, seed=1), other)
  shutil.rmtree(copy / "checkpoints")
  shutil.copytree(other / "checkpoints", copy / "checkpoints")
  (copy / "DONE").unlink()
  with pytest.raises(CheckpointError, match="seed: 1 → 0"):
    train.train_and_evaluate(small.config(data), copy)
  with pytest.raises(CheckpointError, match="seed: 1 → 0"):
    runs.load(copy)


def test_a_state_of_another_type_is_not_cast(tmp_path):
  state = TrainState(
    step=np.int32(3),
    params={"a": np.ones(4, np.float16)},
    model_state={},
    opt_state={},
  )
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(3, state, {})
  wanted = state.replace(params={"a": np.ones(4, np.float32)})
  with pytest.raises(CheckpointError, match="float16, expected float32"):
    checkpoints.restore(3, jax.eval_shape(lambda: wanted))
  checkpoints.close()


def test_loading_beside_a_run_that_saves_every_step_never_fails(whole, copy):
  state = runs.load(whole).state
  stop = threading.Event()
  goes = threading.Event()
  writer = Checkpoints(copy, keep=1)

  def save():
    step = STEPS
    while not stop.is_set():
      step += 1
      writer.save(step, state.replace(step=np.int32(step)), {})
      if step == STEPS + 2:  # the save before it has ended
        goes.set()

  thread = threading.Thread(target=save)
  thread.start()
  try:
    assert goes.wait(60)
    found = [
      int(runs.load(copy).state.step) for _ in range(2)
    ]  # benchmarks/loads.py has 1,000
  finally:
    stop.set()
    thread.join()
    writer.close()
  assert found == sorted(found)
  assert found[-1] > STEPS


@pytest.mark.parametrize("key", fixed.FREE)
def test_a_checkpoint_that_noted_what_may_change_by_now_is_read(data, key):
  # Keys became free in the course of time: older checkpoints hold them.
  config = small.config(data)
  noted = fixed.values(config) | {key: "of before"}
  same_run.check_config(config, {"config": noted}, "here")
  noted = fixed.values(config) | {"seed": 7}
  with pytest.raises(CheckpointError, match="seed: 7 → 0"):
    same_run.check_config(config, {"config": noted}, "here")


# Damaged files


@pytest.mark.parametrize(
  "content", ["", "{", "null", "[]", "1", '{"system": "cvae"}', "\0\0"]
)
def test_a_damaged_config_is_named(copy, content):
  (copy / "config.json").write_text(content)
  with pytest.raises(DamagedFile, match=r"config\.json is damaged"):
    runs.load(copy)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"ink": 3}'])
def test_damaged_conditions_are_named(copy, content):
  (copy / "conditions.json").write_text(content)
  with pytest.raises(DamagedFile, match=r"conditions\.json is damaged"):
    runs.load(copy)


@pytest.mark.parametrize("content", ["", "{}", "\0"])
def test_a_damaged_log_of_launches_stops_nothing(data, copy, content, capsys):
  (copy / "environment.json").write_text(content)
  train.train_and_evaluate(small.config(data, epochs=3), copy)
  assert (copy / "environment.json.damaged").read_text() == content
  assert len(json.loads((copy / "environment.json").read_text())) == 1


def test_damaged_rows_are_named_and_kept_aside(data, copy, capsys):
  path = copy / "metrics.jsonl"
  lines = path.read_text().splitlines(keepends=True)
  lines[1] = "\0\0\n"
  path.write_text("".join(lines))
  with pytest.raises(DamagedFile, match="line 2 cannot be read"):
    read_metrics(copy)
  train.train_and_evaluate(small.config(data, epochs=3), copy)
  told = capsys.readouterr().out
  assert "line 2 cannot be read" in told
  assert "1 are lost" in told
  assert "\0" in (copy / "metrics.jsonl.damaged").read_text()


def test_lost_rows_are_said(data, copy, capsys):
  (copy / "metrics.jsonl").unlink()
  train.train_and_evaluate(small.config(data, epochs=3), copy)
  assert "12 are lost" in capsys.readouterr().out


def test_checkpoints_without_a_config_are_of_nobody(data, copy):
  (copy / "config.json").unlink()
  with pytest.raises(RunMismatch, match="no config"):
    train.train_and_evaluate(small.config(data, optim__lr=0.5), copy)


def test_a_folder_whose_run_made_no_step_is_begun_anew(data, copy):
  shutil.rmtree(copy / "checkpoints")
  for name in ("metrics.jsonl", "DONE"):
    (copy / name).unlink()
  state = train.train_and_evaluate(small.config(data, optim__lr=1e-4), copy)
  assert int(state.step) == STEPS


def test_a_finished_run_is_not_written_to(data, copy):
  before = {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file()}
  before.pop(copy / ".lock")
  train.train_and_evaluate(small.config(data), copy)
  assert {path: path.stat().st_mtime_ns for path in before} == before
