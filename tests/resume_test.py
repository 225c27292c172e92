"""A stopped run goes on as if nothing had happened, whatever stopped it."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from benchmarks import equal_runs, soak_resume as soak
from benchmarks.faults import launching
from cvae_jax import config as configs, train
from cvae_jax.loop import keys
from cvae_jax.loop.begin import initial_state
from cvae_jax.loop.folder.checkpoint import CheckpointError, Checkpoints
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.meter import NonFinite
from cvae_jax.loop.record import RunMismatch
from cvae_jax.method import likelihoods
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")

EPOCHS = 6
STEPS = EPOCHS * small.EPOCH
LONG = {"epochs": EPOCHS, "checkpoint_every": 14}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
  """A run that nothing interrupted; tests do not write to it."""
  folder = tmp_path_factory.mktemp("whole")
  train.train_and_evaluate(small.config(data, **LONG), folder)
  return folder


def restored(folder):
  return equal_runs.final_state(folder)[0]


def equal(tree, other):
  leaves = jax.tree.leaves(tree)
  others = jax.tree.leaves(other)
  return len(leaves) == len(others) and all(
    np.array_equal(a, b) for a, b in zip(leaves, others, strict=True)
  )


def addresses(folder):
  return [(row["step"], row["split"]) for row in read_metrics(folder)]


def train_by_command(flags, folder):
  """Runs launch.train in this process, which has its programs compiled."""
  return launching.within("launch.train", *flags, f"--workdir={folder}")


def contents(folder):
  files = (path for path in folder.rglob("*") if path.is_file())
  return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_half_a_run_and_a_resume_with_more_epochs_is_the_whole_run(
  data, whole, tmp_path
):
  train.train_and_evaluate(small.config(data, epochs=EPOCHS // 2), tmp_path)
  state = train.train_and_evaluate(small.config(data, **LONG), tmp_path)
  assert state.step == STEPS
  assert equal_runs.differences(whole, tmp_path) == []
  assert equal(state, restored(whole))  # what is returned is what is saved


@pytest.mark.parametrize(
  ("step", "how"),
  [
    (1, signal.SIGTERM),
    (17, signal.SIGINT),
    (9, signal.SIGUSR1),  # a batch system's warning
    (25, signal.SIGHUP),  # the terminal has closed
  ],
)
def test_a_signal_in_mid_epoch_and_a_resume_is_the_whole_run(
  data, whole, tmp_path, step, how
):
  config = small.config(data, **LONG)
  small.stop(config, tmp_path, step, how)
  assert restored(tmp_path).step == step
  assert not (tmp_path / "DONE").exists()
  train.train_and_evaluate(config, tmp_path)
  assert equal_runs.differences(whole, tmp_path) == []
  assert (tmp_path / "DONE").exists()


def test_a_config_read_back_from_json_resumes_the_same_run(
  data, whole, tmp_path
):
  small.stop(small.config(data, **LONG), tmp_path, 5)
  text = (tmp_path / "config.json").read_text()
  train.train_and_evaluate(configs.from_json(text), tmp_path)
  assert equal_runs.differences(whole, tmp_path) == []


def test_a_signal_that_comes_late_in_a_step_is_not_taken_for_saved(
  data, tmp_path, monkeypatch
):
  """At step 12 rows are written, but it was too late to choose to save."""
  write = train.Record.metrics

  def metrics(record, row):
    write(record, row)
    if row["split"] == "test":
      os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(train.Record, "metrics", metrics)
  with pytest.raises(train.Preempted, match="saved step 13"):
    train.train_and_evaluate(small.config(data), tmp_path)
  assert soak.list_saved_steps(tmp_path) == [7, 13]


def test_sigterm_exits_with_75_and_the_same_command_ends_the_run(
  data, whole, tmp_path
):
  flags = small.flags(data, epochs=EPOCHS)
  run = tmp_path / "run"
  process = soak.launch(flags, run)
  for _ in soak._polls(process, run):
    if addresses(run):
      break
  process.terminate()
  assert process.wait(60) == 75
  assert "run the same command to go on" in (tmp_path / "run.log").read_text()
  assert 0 < restored(run).step < STEPS
  done = train_by_command(flags, run)
  assert done.code == 0, done.text
  assert equal_runs.differences(whole, run) == []


def test_kill_9_at_a_random_step_and_inside_a_save_leaves_no_trace(
  data, whole, tmp_path
):
  flags = small.flags(data, epochs=EPOCHS)
  run = tmp_path / "run"
  ahead = np.random.default_rng().integers(1, 20)
  soak.kill_at_step(soak.launch(flags, run), run, ahead, 0)
  soak.kill_in_save(soak.launch(flags, run), run, skip=1, pause=0)
  assert not (run / "DONE").exists()
  done = train_by_command(flags, run)
  assert done.code == 0, done.text
  assert equal_runs.differences(whole, run) == []
  assert len(set(addresses(run))) == len(addresses(run))


def test_rows_past_the_checkpoint_and_a_torn_line_are_dropped(
  data, whole, tmp_path
):
  config = small.config(data, **LONG)
  small.stop(config, tmp_path, 10)
  with (tmp_path / "metrics.jsonl").open("a") as file:
    # What a killed process may leave: more rows, the last one cut short.
    file.write(json.dumps({"step": 12, "split": "train", "model/loss": 0}))
    file.write('\n{"step": 15, "spl')
  train.train_and_evaluate(config, tmp_path)
  assert equal_runs.differences(whole, tmp_path) == []
  assert len(set(addresses(tmp_path))) == len(addresses(tmp_path))


def test_an_unfinished_save_is_not_taken_for_a_checkpoint(
  data, whole, tmp_path
):
  config = small.config(data, **LONG)
  small.stop(config, tmp_path, 10)
  # As orbax names it; the resumed run comes to step 14 and must replace it.
  torn = tmp_path / "checkpoints" / "14.orbax-checkpoint-tmp" / "state"
  torn.mkdir(parents=True)
  (torn / "manifest.ocdbt").write_bytes(b"half")
  train.train_and_evaluate(config, tmp_path)
  assert equal_runs.differences(whole, tmp_path) == []


def test_checkpoints_come_at_the_interval_and_at_the_end(data, tmp_path):
  train.train_and_evaluate(small.config(data, keep=9), tmp_path)
  assert soak.list_saved_steps(tmp_path) == [7, 14, 21, 24]


def test_only_the_latest_checkpoints_are_kept(whole):
  assert soak.list_saved_steps(whole) == [70, STEPS]


def test_a_finished_run_says_so_and_changes_nothing(data, whole):
  before = contents(whole)
  done = train_by_command(small.flags(data, **LONG), whole)
  assert done.code == 0, done.text
  assert f"already finished at step {STEPS}" in done.text
  assert contents(whole) == before


def test_a_run_killed_before_it_could_say_done_ends_without_a_step(
  data, tmp_path
):
  config = small.config(data, epochs=1)
  state = train.train_and_evaluate(config, tmp_path)
  rows = read_metrics(tmp_path)
  (tmp_path / "DONE").unlink()
  assert equal(state, train.train_and_evaluate(config, tmp_path))
  assert read_metrics(tmp_path) == rows
  assert (tmp_path / "DONE").exists()


def test_a_run_is_not_called_finished_at_an_end_that_it_has_passed(
  data, tmp_path
):
  small.stop(small.config(data, epochs=2), tmp_path, small.EPOCH + 3)
  message = rf"is at step {small.EPOCH + 3}, and its epochs would end at step"
  with pytest.raises(RunMismatch, match=message):
    train.train_and_evaluate(small.config(data, epochs=1), tmp_path)
  assert not (tmp_path / "DONE").exists()
  train.train_and_evaluate(small.config(data, epochs=2), tmp_path)
  assert (tmp_path / "DONE").exists()


def test_another_config_is_refused_and_the_differing_keys_listed(data, whole):
  before = contents(whole)
  changes = {"optim__lr": 0.5, "model__decoder__dense": 9}
  done = train_by_command(small.flags(data, **LONG, **changes), whole)
  assert done.code == 1
  assert "optim.lr: 0.001 → 0.5" in done.text
  assert "model.decoder.dense: 8 → 9" in done.text
  assert "seed" not in done.text
  assert "Traceback" not in done.text
  assert contents(whole) == before


def test_length_and_intervals_may_change(data, tmp_path):
  small.stop(small.config(data), tmp_path, 8)
  config = small.config(data, epochs=1, log_every=2, checkpoint_every=3)
  state = train.train_and_evaluate(config, tmp_path)
  assert state.step == small.EPOCH
  steps = [s for s, split in addresses(tmp_path) if split == "train"]
  assert steps == [3, 6, 10, 12]


@pytest.mark.usefixtures("plain_convolutions_here")
def test_what_an_older_run_did_not_know_of_its_data_is_not_held(data, tmp_path):
  small.stop(small.config(data, "faces"), tmp_path, 2)
  path = tmp_path / "conditions.json"
  fitted = json.loads(path.read_text())
  older = {k: v for k, v in fitted.items() if k not in ("rows", "sha256")}
  path.write_text(json.dumps(older))
  assert (
    train.train_and_evaluate(small.config(data, "faces"), tmp_path).step == 4
  )
  assert json.loads(path.read_text()) == fitted
  path.write_text(json.dumps(fitted | {"rows": 1}))
  with pytest.raises(RunMismatch, match="training data have changed"):
    train.train_and_evaluate(small.config(data, "faces"), tmp_path)


def test_changed_data_are_refused(data, tmp_path):
  small.stop(small.config(data), tmp_path, 2)
  path = tmp_path / "conditions.json"
  fitted = json.loads(path.read_text())
  fitted["mean"][0] += 0.01
  path.write_text(json.dumps(fitted))
  with pytest.raises(
    RunMismatch, match=r"training data have changed.* another --workdir"
  ):
    train.train_and_evaluate(small.config(data), tmp_path)


def test_a_measurement_on_changed_data_asks_where_the_old_ones_are(
  data, tmp_path
):
  small.stop(small.config(data), tmp_path, 2)
  path = tmp_path / "data.json"
  path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
  with pytest.raises(RunMismatch, match=r"launch\.evaluate --data=PATH"):
    load_data(tmp_path, small.config(data).data)


def begin(data, folder, source, **changes):
  """Return (first state, the same from scratch, counters)."""
  config = small.config(data, init_from=source, **changes)
  system = configs.resolve(config)
  checkpoints = Checkpoints(folder)
  try:
    state, counters = initial_state(system, config, checkpoints)
  finally:
    checkpoints.close()
  scratch = jax.jit(system.init)(keys.address(config.seed, "init"))
  return state, scratch, counters


def test_init_from_takes_all_parameters_and_nothing_else(data, whole, tmp_path):
  before = contents(whole)
  state, scratch, counters = begin(data, tmp_path, str(whole))
  assert equal(state.params, restored(whole).params)
  assert not equal(state.params, scratch.params)
  assert equal(state.opt_state, scratch.opt_state)
  assert state.step == 0
  assert counters == {}
  assert contents(whole) == before


def test_init_from_takes_the_step_that_it_names(data, whole, tmp_path):
  state, _, _ = begin(data, tmp_path, f"{whole}@70")
  assert not equal(state.params, restored(whole).params)
  small.stop(small.config(data, **LONG), tmp_path / "to70", 70)
  assert equal(state.params, restored(tmp_path / "to70").params)


def test_init_from_takes_only_the_branch_that_it_names(data, whole, tmp_path):
  state, scratch, _ = begin(data, tmp_path, f"{whole}@{STEPS}:decoder")
  assert equal(state.params["decoder"], restored(whole).params["decoder"])
  # Initialised anew, up to how the compiler was asked to optimise.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
    state.params["encoder"],
    scratch.params["encoder"],
  )


def test_init_from_lets_the_other_branches_have_other_shapes(
  data, whole, tmp_path
):
  source = f"{whole}:decoder"
  state, _, _ = begin(data, tmp_path, source, model__encoder__dense=9)
  assert equal(state.params["decoder"], restored(whole).params["decoder"])


@pytest.mark.parametrize(
  ("source", "changes", "message"),
  [
    ("{}", {"model__encoder__dense": 9}, "shape: encoder/dense/kernel"),
    (
      "{}",
      {
        "model__encoder__features": (4, 4),
        "model__encoder__strides": (2, 1),
        "model__encoder__dropout": (0.4, 0.0),
      },
      "missing: encoder/conv_1/kernel",
    ),
    (
      "{}",
      {
        "model__decoder__features": (),
        "model__decoder__strides": (),
        "model__decoder__dropout": (),
        "model__decoder__map": (28, 28, 1),
      },
      "extra: decoder/conv_0/kernel",
    ),
    ("{}@3", {}, "no checkpoint 3 in .*70, 72"),
    ("{}:decodr", {}, "no branch 'decodr'; it has decoder, encoder"),
    ("{}/nowhere", {}, "not a run's folder"),
  ],
)
def test_init_from_takes_nothing_in_part(
  data, whole, tmp_path, source, changes, message
):
  with pytest.raises(CheckpointError, match=message):
    begin(data, tmp_path, source.format(whole), **changes)


def test_a_resumed_run_does_not_borrow_a_second_time(data, whole, tmp_path):
  config = small.config(data, init_from=str(whole), epochs=1)
  train.train_and_evaluate(config, tmp_path / "one")
  small.stop(config, tmp_path / "two", 4)
  train.train_and_evaluate(config, tmp_path / "two")
  assert equal_runs.differences(tmp_path / "one", tmp_path / "two") == []


# The grey term overflows in the update after step 10, the 11th.
OVERFLOW = {"loss__grey": 1e38, "loss__grey_start": 10}


def test_a_loss_that_is_not_finite_stops_and_keeps_the_state_before(
  data, tmp_path
):
  config = small.config(data, **OVERFLOW)
  with pytest.raises(NonFinite, match=r"step 11: .*model/loss.*step 10") as e:
    train.train_and_evaluate(config, tmp_path / "bad")
  assert any("checkpoints/10" in note for note in e.value.__notes__)
  assert soak.list_saved_steps(tmp_path / "bad") == [7, 10]
  assert not (tmp_path / "bad" / "DONE").exists()
  state, counters = equal_runs.final_state(tmp_path / "bad")
  assert state.step == 10
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
  small.stop(config, tmp_path / "stopped", 10)
  assert equal(state, restored(tmp_path / "stopped"))
  assert counters["sums"]["epoch"]["count"] == 10
  assert equal_runs.differences(tmp_path / "bad", tmp_path / "stopped") == []


def test_going_on_after_a_loss_that_is_not_finite_fails_at_the_same_step(
  data, tmp_path
):
  config = small.config(data, **OVERFLOW)
  for _ in range(2):
    with pytest.raises(NonFinite, match="step 11: "):
      train.train_and_evaluate(config, tmp_path)
    assert restored(tmp_path).step == 10


def test_a_first_step_that_is_not_finite_leaves_the_fresh_state(data, tmp_path):
  with pytest.raises(NonFinite, match=r"step 1: .*\(step 0\): none"):
    train.train_and_evaluate(small.config(data, loss__mse=1e38), tmp_path)
  state = restored(tmp_path)
  assert state.step == 0
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_a_logged_term_that_is_not_finite_keeps_the_state_before_too(
  data, tmp_path, monkeypatch
):
  """The loss itself is finite here: only the ELBO is not."""
  monkeypatch.setattr(
    likelihoods.Gaussian,
    "nats",
    lambda _, image, *__: image.sum(axis=-1) + np.float32(np.inf),
  )
  config = small.config(data, seed=4321)  # no other test's program
  with pytest.raises(NonFinite, match="step 1: model/elbo not finite"):
    train.train_and_evaluate(config, tmp_path)
  assert soak.list_saved_steps(tmp_path) == [0]
  assert restored(tmp_path).step == 0


def test_the_launcher_reports_a_loss_that_is_not_finite(data, tmp_path):
  done = train_by_command(small.flags(data, optim__lr=1e38), tmp_path)
  assert done.code == 1
  assert "step 2: " in done.text
  assert "lower learning rate" in done.text
  assert f"Saved in {tmp_path / 'checkpoints' / '1'}" in done.text
  assert "Traceback" not in done.text
  assert restored(tmp_path).step == 1
