"""What of a run is lost is said, and never made good by beginning anew."""

import json
import logging
import os
import resource
import shutil
import signal
import threading
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import runs, train
from cvae_jax.host.files import DamagedFile
from cvae_jax.loop.folder import checkpoint, launches, orbax_quirks, run_data
from cvae_jax.loop.folder.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
)
from cvae_jax.loop.folder.rows import describe_loss, read_metrics
from cvae_jax.loop.record import RunMismatch
from cvae_jax.types import TrainState
from tests import small
from tests.damage_test import (
  arrays,
  copy as copy,  # a fixture
  flip,
  whole as whole,  # a fixture
)

pytestmark = pytest.mark.usefixtures("shared_programs")

STEPS = 2 * small.EPOCH  # checkpoints at 21 and 24
NEWEST = f"checkpoints/{STEPS}"


@pytest.fixture
def one(tmp_path):
  """A state of a few numbers, and a run's checkpoints."""
  state = TrainState(
    step=np.int32(3),
    params={"a": np.ones(4, np.float32)},
    model_state={"mean": np.zeros(2, np.float32)},
    opt_state={"nu": np.zeros(4, np.float32)},
  )
  checkpoints = Checkpoints(tmp_path / "one")
  yield state, checkpoints
  checkpoints.close()


# Wherever the folder lies


def test_a_run_whose_folder_is_moved_ends_and_goes_on_at_its_new_place(
  data, whole, tmp_path, monkeypatch
):
  save = Checkpoints.save

  def moved(checkpoints, step, *args, **kwargs):
    save(checkpoints, step, *args, **kwargs)
    checkpoints.steps()  # it is on the disk
    checkpoints.folder.parent.rename(tmp_path / "new")

  config = small.config(data)
  with monkeypatch.context() as patch:
    patch.setattr(Checkpoints, "save", moved)
    with pytest.raises(CheckpointError, match=r"old was moved, .*--workdir"):
      train.train_and_evaluate(config, tmp_path / "old")
  assert not (tmp_path / "old" / "checkpoints").exists()
  train.train_and_evaluate(config, tmp_path / "new")
  assert equal_runs.differences(whole, tmp_path / "new") == []


@pytest.fixture(scope="module")
def half(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("half") / "run"
  train.train_and_evaluate(small.config(data, epochs=1), folder)
  return folder


@pytest.mark.parametrize(
  "name",
  [
    "run[1]",
    "back\\slash",
    "[0-9]*?",
    "{a} %d $x 'é\" ü",
    "par[2]/run/",
    "n" * 200,
    "link",
  ],
)
def test_a_run_goes_on_in_a_folder_of_any_legal_name(
  data, half, whole, tmp_path, monkeypatch, name
):
  config = small.config(data)
  monkeypatch.chdir(tmp_path)
  if name == "link":
    (tmp_path / "there[1]").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "there[1]")
  shutil.copytree(half, name, dirs_exist_ok=True)
  train.train_and_evaluate(config, name)  # a relative path
  assert equal_runs.differences(whole, tmp_path / name) == []
  assert int(runs.load(name).state.step) == STEPS


def test_an_alias_is_gone_when_the_checkpoints_are_closed(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(orbax_quirks.tempfile, "tempdir", str(tmp_path))
  checkpoints = Checkpoints(tmp_path / "run[1]")
  assert len(list(tmp_path.glob("cvae_jax_*"))) == 1
  checkpoints.close()
  assert list(tmp_path.glob("cvae_jax_*")) == []


# Damage that the arrays' digest does not see


def counters(folder, step=STEPS):
  return folder / f"checkpoints/{step}/counters/metadata"


def changed(change):
  def damage(folder):
    found = json.loads(counters(folder).read_text())
    counters(folder).write_text(json.dumps(change(found)))

  return damage


def largest_sum(found):
  found["sums"]["sound"]["first"] += 1e-6
  return found


DAMAGE = {
  "a number of the counters": changed(largest_sum),
  "no counter at all": changed(lambda found: {}),
  "counters of another kind": changed(lambda found: {"sums": [], "watch": 3}),
  "the list of arrays": lambda run: flip(run / NEWEST / "state/_METADATA"),
  "where arrays lay": lambda run: flip(run / NEWEST / "state/_sharding", 30),
  "the index": lambda run: flip(run / NEWEST / "state/manifest.ocdbt"),
  "the arrays' facts": lambda run: shutil.rmtree(
    run / NEWEST / "state/array_metadatas"
  ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_other_damage_to_the_newest_checkpoint_costs_no_bit(
  data, whole, copy, damage
):
  DAMAGE[damage](copy)
  (copy / "DONE").unlink()
  train.train_and_evaluate(small.config(data), copy)
  assert equal_runs.differences(whole, copy) == []


@pytest.mark.parametrize(
  ("field", "value"),
  [("params", np.inf), ("model_state", np.nan), ("opt_state", np.nan)],
)
def test_a_state_that_is_not_finite_is_not_taken(one, field, value):
  state, checkpoints = one
  spoilt = jax.tree.map(np.copy, state)
  jax.tree.leaves(getattr(spoilt, field))[0][0] = value
  checkpoints.save(3, spoilt, {})
  with pytest.raises(Damaged, match=f"{field}/.* is not finite"):
    checkpoints.restore(3, jax.eval_shape(lambda: state))


@pytest.mark.parametrize(
  "name", ["state/pipe", "counters/metadata", "_CHECKPOINT_METADATA"]
)
def test_a_pipe_in_a_checkpoint_is_refused_and_not_waited_for(copy, name):
  path = copy / NEWEST / name
  path.unlink(missing_ok=True)
  os.mkfifo(path)
  with pytest.raises(CheckpointError, match=f"{name} is no plain file"):
    runs.load(copy)


def test_a_checkpoint_that_is_a_link_is_refused(copy):
  (copy / NEWEST).rename(copy / "elsewhere")
  (copy / NEWEST).symlink_to(copy / "elsewhere")
  with pytest.raises(CheckpointError, match="24 is a link"):
    runs.load(copy)


def test_a_second_damaged_checkpoint_of_a_step_keeps_the_first(one):
  state, checkpoints = one
  for name in ("3.damaged", "3.damaged.2"):
    checkpoints.save(3, state, {})
    checkpoints.steps()
    assert checkpoints.set_aside(3).name == name
  assert checkpoints.latest() is None


# What is lost is not begun anew


def test_a_run_without_a_whole_checkpoint_is_refused_each_time(data, copy):
  for step in (21, 24):
    flip(arrays(copy, step))
  rows = read_metrics(copy)
  for _ in range(2):
    with pytest.raises(CheckpointError, match="no whole checkpoint is left"):
      train.train_and_evaluate(small.config(data), copy)
  assert read_metrics(copy) == rows


@pytest.mark.parametrize("done", [True, False])
def test_a_run_whose_checkpoints_are_gone_is_refused(data, copy, done):
  shutil.rmtree(copy / "checkpoints")
  if not done:
    (copy / "DONE").unlink()
  rows = read_metrics(copy)
  with pytest.raises(RunMismatch, match="its checkpoints are gone"):
    train.train_and_evaluate(small.config(data), copy)
  assert read_metrics(copy) == rows


def test_a_run_that_was_killed_before_its_first_save_begins_again(
  data, whole, copy
):
  shutil.rmtree(copy / "checkpoints")
  (copy / "DONE").unlink()
  path = copy / "metrics.jsonl"
  lines = path.read_text().splitlines(keepends=True)
  path.write_text("".join(lines[:3]))  # to step 9; checkpoints come each 7
  train.train_and_evaluate(small.config(data), copy)
  assert equal_runs.differences(whole, copy) == []


def test_rows_without_a_config_are_of_nobody(data, copy):
  (copy / "config.json").unlink()
  shutil.rmtree(copy / "checkpoints")
  with pytest.raises(RunMismatch, match="no config"):
    train.train_and_evaluate(small.config(data), copy)


def test_lost_rows_of_a_finished_run_are_said(data, copy, capsys):
  path = copy / "metrics.jsonl"
  path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
  train.train_and_evaluate(small.config(data), copy)
  assert "2 are lost" in capsys.readouterr().out


def test_checkpoints_trained_on_other_data_are_refused(
  data, copy, tmp_path, monkeypatch
):
  names = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
  other = tmp_path / "other"
  shutil.copytree(data, other)
  for name in names:  # the same digits in another order
    content = (other / name).read_bytes()
    head = 16 if "images" in name else 8
    size = 784 if "images" in name else 1
    first = content[head : head + size]
    second = content[head + size :]
    second, rest = second[:size], second[size:]
    (other / name).write_bytes(content[:head] + second + first + rest)
  second = tmp_path / "second"
  train.train_and_evaluate(small.config(data, data__path=str(other)), second)
  shutil.rmtree(copy / "checkpoints")
  shutil.copytree(second / "checkpoints", copy / "checkpoints")
  with pytest.raises(CheckpointError, match="trained on other data: test"):
    train.train_and_evaluate(small.config(data), copy)


# The best checkpoint


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
  """A run whose best state is an early one, and its best step."""
  folder = tmp_path_factory.mktemp("stopped") / "run"
  rule = {"metric": "loss", "mode": "max", "patience": 9, "restore": True}
  rule = {f"early_stop__{key}": value for key, value in rule.items()}
  config = small.config(data, epochs=4, keep=1, **rule)
  best = int(train.train_and_evaluate(config, folder).step)
  return folder, config, best


def test_a_damaged_best_checkpoint_is_said_and_the_latest_serves(
  stopped, tmp_path, capsys
):
  source, config, best = stopped
  latest = 4 * small.EPOCH
  assert best < latest
  folder = shutil.copytree(source, tmp_path / "run")
  assert int(runs.load(folder).state.step) == best
  flip(arrays(folder, best))
  assert int(runs.load(folder).state.step) == latest
  assert f"checkpoints/{best} is damaged" in capsys.readouterr().out
  assert int(train.train_and_evaluate(config, folder).step) == latest
  told = capsys.readouterr().out
  assert f"checkpoints/{best} is damaged" in told
  assert f"the latest, {latest}, stands for the run" in told
  shutil.rmtree(folder / f"checkpoints/{best}")
  assert int(runs.load(folder).state.step) == latest
  assert f"no checkpoint {best}" in capsys.readouterr().out


def test_beside_a_damaged_latest_checkpoint_the_best_is_still_found(
  stopped, tmp_path
):
  source, _, best = stopped
  folder = shutil.copytree(source, tmp_path / "run")
  (folder / f"checkpoints/{4 * small.EPOCH}/counters/metadata").write_text("")
  assert int(runs.load(folder).state.step) == best


# Saving


def test_hashing_a_state_does_not_hold_up_the_steps(one, monkeypatch):
  state, checkpoints = one
  begun = threading.Event()
  go_on = threading.Event()
  real = checkpoint.digest

  def slow(tree):
    begun.set()
    assert go_on.wait(30)
    return real(tree)

  monkeypatch.setattr(checkpoint, "digest", slow)
  checkpoints.save(3, state, {})  # returns, though nothing is hashed yet
  assert begun.wait(30)
  go_on.set()
  assert checkpoints.latest() == 3
  checkpoints.restore(3, jax.eval_shape(lambda: state))


def test_a_save_that_fails_is_said_in_one_line_and_all_is_closed(
  tmp_path, monkeypatch
):
  folder = tmp_path / "run[1]"
  checkpoints = Checkpoints(folder)
  alias = checkpoints._alias.folder
  state = TrainState(
    step=np.int32(3), params={"a": np.ones(4)}, model_state={}, opt_state={}
  )

  def full(tree):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(checkpoint, "digest", full)
  checkpoints.save(3, state, {})
  with pytest.raises(CheckpointError) as error:
    checkpoints.close()
  (line,) = str(error.value).splitlines()
  assert str(folder / "checkpoints") in line
  assert "No space left on device" in line
  assert not alias.exists()
  checkpoints.close()  # twice is once


def test_files_that_cannot_grow_are_said_in_one_line_without_a_traceback(
  tmp_path, capfd
):
  noise = np.random.default_rng(0).standard_normal(20_000)  # not to compress
  state = TrainState(
    step=np.int32(3), params={"a": noise}, model_state={}, opt_state={}
  )
  checkpoints = Checkpoints(tmp_path)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
  try:
    checkpoints.save(3, state, {})
    with pytest.raises(CheckpointError, match="File too large; make room"):
      checkpoints.close()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)
  assert "Traceback" not in "".join(capfd.readouterr())


def test_what_follows_a_failed_write_is_dropped_and_nothing_else():
  seen = []
  hook = orbax_quirks._drop_late(lambda info: seen.append(str(info.exc_value)))
  for text in ("Event loop is closed", "a fault of ours"):
    hook(SimpleNamespace(exc_value=RuntimeError(text)))
  assert seen == ["a fault of ours"]


def test_asyncio_reports_no_write_of_orbax_that_nobody_waits_for(caplog):
  log = logging.getLogger("asyncio")
  for text in ('OUT_OF_RANGE: Error writing "a" in OCDBT database', "ours"):
    error = ValueError(text)
    for said in ("Task exception was never retrieved", "slow callback"):
      log.error(said, exc_info=(ValueError, error, None))
  left = [(r.getMessage()[:4], str(r.exc_info[1])[:4]) for r in caplog.records]
  assert left == [("slow", "OUT_"), ("Task", "ours"), ("slow", "ours")]


@pytest.mark.parametrize(
  "content",
  [
    "{}",
    "[]",
    '{"train": {}}',
    '{"train": null}',
    '{"train": {"image": {}}}',
    '{"train": {"image": {"shape": [], "dtype": "uint8", "sha256": ""}}}',
    '{"train": {"image": {"shape": ["9"], "dtype": "uint8", "sha256": ""}}}',
    '{"train": {"image": {"shape": [9], "dtype": 8, "sha256": ""}}}',
    "[" * 100_000,
  ],
  ids=lambda content: content[:60],
)
def test_a_damaged_record_of_the_data_is_named(tmp_path, content):
  (tmp_path / "data.json").write_text(content)
  with pytest.raises(DamagedFile, match=r"data\.json is damaged"):
    run_data.facts(tmp_path)
  with pytest.raises(DamagedFile, match=r"data\.json is damaged"):
    run_data.check_data(tmp_path, {"train": {}, "test": None})


def test_rows_of_somebody_else_are_said(tmp_path):
  rows = [{"step": n, "split": "train"} for n in (1, 2, 3, 4)]
  assert "2 are of somebody else" in describe_loss(tmp_path, rows, 3, 1)
  assert "1 are lost" in describe_loss(tmp_path, rows, 3, 4)
  assert describe_loss(tmp_path, rows, 3, 3) is None
  # A checkpoint of an older release did not count.
  assert describe_loss(tmp_path, rows, 3, 0) is None


# Logs


@pytest.mark.parametrize("content", ["", "[]", "{}", "[1]", "\0"])
def test_a_damaged_log_of_launches_is_named(tmp_path, content):
  (tmp_path / launches.FILE).write_text(content)
  with pytest.raises(DamagedFile, match=r"environment\.json is damaged"):
    launches.read(tmp_path)


@pytest.mark.parametrize(
  "line",
  [
    *("\0\0", "garbage", "[]", "3", "null", "{"),
    *('{"split": "train"}', '{"step": 1}', '{"step": 1, "split": 2}'),
    *('{"step": true, "split": "train"}', '{"step": -1, "split": "train"}'),
    "[" * 100_000,
  ],
  ids=lambda line: line[:30],
)
def test_a_line_that_is_no_row_is_named_by_its_number(tmp_path, line):
  (tmp_path / "metrics.jsonl").write_text(
    f'{{"step": 1, "split": "train"}}\n{line}\n'
  )
  with pytest.raises(DamagedFile, match=r"metrics\.jsonl: line 2 cannot"):
    read_metrics(tmp_path)
