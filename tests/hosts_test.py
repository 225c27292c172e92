"""Two processes train one run: they write once, stop together and go on."""

import signal
import time

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import config as configs, train
from cvae_jax.config import ConfigError
from cvae_jax.loop import hosts
from cvae_jax.loop.folder.rows import parse_metrics
from tests import hosts_runs

MANY = {"epochs": 400}  # more than a test waits for
KILL = 30
STOP = 75


def rows(folder):
  return parse_metrics(folder)[0] if folder.exists() else []


def wait(folder, step, processes):
  """Waits until a row of a step is written."""
  until = time.monotonic() + 120
  while max((row["step"] for row in rows(folder)), default=0) < step:
    assert time.monotonic() < until
    assert all(process.poll() is None for process in processes)
    time.sleep(0.05)


def saved(folder):
  names = [path.name for path in (folder / "checkpoints").iterdir()]
  return max(int(name) for name in names if name.isdigit())


@pytest.fixture(scope="module")
def story(data, tmp_path_factory):
  """One process is killed, both start again; one is asked to stop."""
  folder = tmp_path_factory.mktemp("hosts") / "run"
  begun = hosts_runs.start(data, folder, **MANY)
  wait(folder, KILL, begun)
  begun[1].send_signal(signal.SIGKILL)
  killed = hosts_runs.end(begun)
  kept = saved(folder)
  again = hosts_runs.start(data, folder, slurm=True, **MANY)  # as of srun
  wait(folder, kept + KILL, again)
  again[1].send_signal(signal.SIGTERM)
  return folder, killed, kept, hosts_runs.end(again)


def test_where_a_process_is_killed_the_other_says_how_to_go_on(story):
  _, ((code, said), (other, _)), kept, _ = story
  assert other == -signal.SIGKILL
  assert code == STOP
  assert "another process has ended: start all again" in said
  assert kept >= KILL - 10  # all but the interval between checkpoints


def test_started_again_they_go_on_from_the_checkpoint(story):
  _, _, kept, ((_, said), _) = story
  assert f"from {kept}, " in said
  assert "on 2 devices" in said


def test_a_signal_to_one_stops_both_at_one_step(story):
  folder, _, _, ended = story
  assert [code for code, _ in ended] == [STOP, STOP]
  for _, said in ended:
    assert f"stopped by a signal; saved step {saved(folder)}" in said


def test_only_the_first_process_writes_rows_and_says_how_it_goes(story):
  folder, _, _, ((_, said), (_, other)) = story
  steps = [(row["step"], row["split"]) for row in rows(folder)]
  assert len(steps) == len(set(steps))
  assert "examples/s" in said
  assert "examples/s" not in other


def test_what_two_processes_trained_is_what_one_trains(
  story, data, tmp_path, monkeypatch
):
  # One process goes on with what two began; its losses are those of one.
  folder, _, _, _ = story
  values = hosts_runs.SMALL | {"data.path": str(data), "epochs": 400}
  config = configs.load(hosts_runs.PAGE, values)
  step = train.Console.step

  def stop(console, at, loss):
    step(console, at, loss)
    if at == KILL:
      raise KeyboardInterrupt

  monkeypatch.setattr(train.Console, "step", stop)
  with pytest.raises(KeyboardInterrupt):
    train.train_and_evaluate(config, tmp_path)
  alone = {r["step"]: r for r in rows(tmp_path) if r["split"] == "train"}
  both = {r["step"]: r for r in rows(folder) if r["split"] == "train"}
  assert len(alone) >= 4
  for at, row in alone.items():
    for name in ("model/loss", "model/gradient_norm"):
      np.testing.assert_allclose(both[at][name], row[name], rtol=1e-5)


def test_one_process_reads_what_two_saved(story):
  folder, _, _, _ = story
  state, _ = equal_runs.final_state(folder)
  assert state.step == saved(folder)
  for leaf in jax.tree.leaves(state.params):
    assert np.isfinite(leaf).all()


@pytest.mark.parametrize(
  "words",
  [
    ("", 2, 0),
    ("here", 2, 0),
    ("localhost:1", 0, 0),
    ("localhost:1", 2, -1),
    ("localhost:1", 2, 2),
  ],
)
def test_flags_that_do_not_name_a_process_are_refused(words):
  with pytest.raises(ConfigError, match="expected all three: host:port"):
    hosts.start(*words)


def test_one_process_of_slurm_is_no_group(monkeypatch):
  monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
  hosts.start()
  assert hosts.count() == 1
  assert hosts.first()


@pytest.mark.parametrize(
  ("tasks", "seen", "own"),
  [
    ("1(x2)", "0,1,2,3", [0, 1, 2, 3]),  # one task a node has all its GPUs
    ("4(x2)", "0,1,2,3", None),  # jax gives each task one of four
    ("4(x2)", "2", [0]),  # Slurm has given it one
    ("2", "", None),
  ],
)
def test_a_task_of_slurm_uses_all_gpus_that_are_its_own(
  monkeypatch, tasks, seen, own
):
  given = {}
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda **n: given.update(n)
  )
  variables = hosts_runs.step_of_slurm(0, 2, 1)
  variables |= {
    "SLURM_STEP_TASKS_PER_NODE": tasks,
    "CUDA_VISIBLE_DEVICES": seen,
  }
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  hosts.start()
  assert given.get("local_device_ids") == own


def test_what_the_first_process_cannot_do_is_an_error_of_all(monkeypatch):
  said = []
  monkeypatch.setattr(hosts, "count", lambda: 2)
  monkeypatch.setattr(hosts, "_bytes", lambda data: said.append(data) or data)
  with pytest.raises(OSError, match="no room"), hosts.open_together():
    raise OSError("no room")
  monkeypatch.setattr(hosts, "first", lambda: False)
  monkeypatch.setattr(hosts, "_bytes", lambda _: said[-1])
  with pytest.raises(hosts.HostError, match="process 0 cannot train: no room"):
    hosts.tell()


def test_what_was_told_before_an_error_is_told_once(monkeypatch):
  said = []
  monkeypatch.setattr(hosts, "count", lambda: 2)
  monkeypatch.setattr(hosts, "_bytes", lambda data: said.append(data) or data)

  def train():
    with hosts.open_together() as tell:
      tell(over=False)
      raise OSError("later")

  with pytest.raises(OSError, match="later"):
    train()
  assert said == [b'{"over": false}']


@pytest.mark.parametrize(
  ("theirs", "said"),
  [
    ({"seed": 3}, "seed 3 and 0"),
    ({"data.path": "/elsewhere"}, ""),
    ({"epochs": 9}, "epochs 9 and 1"),
  ],
)
def test_processes_of_different_configs_are_refused(monkeypatch, theirs, said):
  page = "configs/digits.py:smoke"
  first = configs.load(page, theirs)
  broadcast = []
  monkeypatch.setattr(hosts, "count", lambda: 2)
  monkeypatch.setattr(hosts.multihost_utils, "process_allgather", np.atleast_1d)
  monkeypatch.setattr(
    hosts, "_bytes", lambda data: broadcast.append(data) or broadcast[0]
  )
  hosts.check_same(first, {"train": "a"})
  own = configs.load(page)
  if not said:
    hosts.check_same(own, {"train": "a"})
    return
  with pytest.raises(hosts.HostError, match=f"process 0: {said}; start all"):
    hosts.check_same(own, {"train": "a"})
  with pytest.raises(hosts.HostError, match="train 'a' and 'b'"):
    hosts.check_same(first, {"train": "b"})
