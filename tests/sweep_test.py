"""Sweeps and their tables, by the commands."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from benchmarks.faults import launching
from cvae_jax import config as configs, pages
from cvae_jax.host import lock
from cvae_jax.loop.folder import folders
from cvae_jax.measures import table
from tests import small


def _command(name, *words):
  return subprocess.run(
    [sys.executable, "-m", f"launch.{name}", *map(str, words)],
    capture_output=True,
    text=True,
    cwd=small.ROOT,
  )


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("sweep")
  words = ["--config=configs/digits.py", f"--workdir={folder}"]
  words += ["--only=model=2,model=4", "--", *small.flags(data)[1:]]
  done = _command("sweep", *words)
  assert done.returncode == 0, done.stderr
  again = _command("sweep", *words, "--config.epochs=9")
  assert again.stdout.splitlines() == [
    "== model=2: done, left as it is",
    "== model=4: done, left as it is",
  ]
  return folder


def test_each_variant_trains_in_its_own_folder(folder):
  assert sorted(path.name for path in folder.iterdir()) == [
    ".lock",
    "model=2",
    "model=4",
  ]
  grey = [
    configs.from_json((folder / name / "config.json").read_text()).loss.grey
    for name in ("model=2", "model=4")
  ]
  assert grey == [0.0, 0.32]


def test_the_table_has_a_row_a_run_and_its_last_epoch(folder):
  done = launching.within("launch.table", folder)
  assert done.code == 0, done.text
  rows = pd.read_csv(folder / "table.csv")
  assert list(rows["run"]) == ["model=2", "model=4"]
  assert (rows["epochs"] == 2).all()
  total = rows[["weighted_squared_error", "kl", "grey", "l2"]].sum(axis=1)
  pd.testing.assert_series_equal(
    total, rows["loss"], check_names=False, rtol=1e-5
  )
  with Image.open(folder / "curves.png") as picture:
    assert picture.size[0] > 300
  for path in folder.glob("*.*"):
    if path.name != ".lock":
      path.unlink()


def test_runs_are_in_natural_order_whatever_the_folder_s():
  names = [
    *("ae,size=64,latent=128", "ae,size=64,latent=512", "gan,size=64"),
    *("gan,size=64,latent=128", "model=2", "model=2,useful", "model=10"),
  ]
  paths = [Path("runs", name) for name in names]
  found = sorted(reversed(paths), key=folders.natural)
  assert [path.name for path in found] == names


# Stands for Python in `python -m launch.train --config=… --workdir=…`: it has
# begun, and saves for half a second once a signal comes.
_TRAINING = """#!{python}
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[4].removeprefix("--workdir="))
heard = []
for number in (signal.SIGTERM, signal.SIGINT):
  signal.signal(number, lambda *_: heard.append(1))
folder.mkdir(parents=True)
for _ in range(2000):
  time.sleep(0.01)
  if heard:
    break
end = time.monotonic() + 0.5
while time.monotonic() < end:  # a second signal would cut one sleep short
  time.sleep(0.01)
(folder / "saved").touch()
sys.exit({code})
"""
_SWEEP = """
import runpy, sys
sys.executable = sys.argv[1]
del sys.argv[1]
runpy.run_module("launch.sweep", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
  ("how", "code"),
  [
    (signal.SIGINT, 75),
    (signal.SIGTERM, 75),
    (signal.SIGTERM, 0),  # it was at its last step
    (signal.SIGTERM, 1),
  ],
)
def test_a_signal_lets_the_training_save_and_begins_no_other(
  tmp_path, how, code
):
  training = tmp_path / "training"
  training.write_text(_TRAINING.format(python=sys.executable, code=code))
  training.chmod(0o755)
  runs = tmp_path / "runs"
  process = subprocess.Popen(
    [
      *(sys.executable, "-c", _SWEEP, training),
      *("--config=configs/digits.py", f"--workdir={runs}"),
    ],
    cwd=small.ROOT,
    start_new_session=True,
  )
  while not (runs / "model=1").exists() and process.poll() is None:
    time.sleep(0.01)
  if how == signal.SIGINT:  # as Ctrl-C does
    os.killpg(process.pid, how)
  else:
    process.send_signal(how)
  assert process.wait(60) == (code or 75)
  assert [path.name for path in runs.glob("model=*")] == ["model=1"]
  assert (runs / "model=1" / "saved").exists()


def test_a_sweep_that_is_killed_leaves_no_training_behind(tmp_path):
  training = tmp_path / "training"
  training.write_text(_TRAINING.format(python=sys.executable, code=75))
  training.chmod(0o755)
  run = tmp_path / "runs" / "model=1"
  process = subprocess.Popen(
    [
      *(sys.executable, "-c", _SWEEP, training),
      *("--config=configs/digits.py", f"--workdir={tmp_path / 'runs'}"),
    ],
    cwd=small.ROOT,
  )
  while not run.exists() and process.poll() is None:
    time.sleep(0.01)
  process.kill()
  process.wait()
  end = time.monotonic() + 10  # it would train for 20 s
  while not (run / "saved").exists() and time.monotonic() < end:
    time.sleep(0.01)
  assert (run / "saved").exists()


sweep, _ = small.command("sweep")


class _Stub:
  """Stands for the trainings of a sweep: exit statuses by variant."""

  def __init__(self, codes, stops_at=None):
    self.codes = codes
    self.stops_at = stops_at
    self.stopped = False
    self.begun = []
    self.orders = []

  def run(self, order):
    variant = order[3].partition(":")[2]
    self.orders.append(order)
    self.begun.append(variant)
    self.stopped = variant == self.stops_at
    return self.codes.get(variant, 0)


@pytest.mark.parametrize(
  ("codes", "stops_at", "begun", "code"),
  [
    ({}, None, 3, 0),
    ({"model=1": 1, "model=3": -9}, None, 3, 1),  # -9: out of memory
    ({"model=1": 1, "model=2": 75}, "model=2", 2, 75),
    ({"model=2": 75}, None, 2, 75),  # its own batch system stopped it
  ],
)
def test_a_failed_variant_keeps_no_other_from_training(
  tmp_path, monkeypatch, capsys, codes, stops_at, begun, code
):
  stub = _Stub(codes, stops_at)
  monkeypatch.setattr(sweep, "_Trainer", lambda: stub)
  variants = ["model=1", "model=2", "model=3"]
  only = ["model=1,model=2,model=3"]
  trainings = sweep.plan("configs/digits.py", only, [])
  found = sweep._sweep(trainings, tmp_path, [])
  assert found == code
  assert stub.begun == variants[:begun]
  last = capsys.readouterr().out.splitlines()[-1]
  if code == 1:
    assert "2 of 3 failed: model=1, model=3; the same command" in last


def test_a_grid_is_every_combination_of_its_values():
  found = sweep.plan(
    "digits:model=2",
    [],
    ["config.optim.lr=1e-3,3e-4", "config.seed=0..2"],
  )
  assert [one.name for one in found] == [
    f"optim.lr={lr},seed={seed}" for lr in ("1e-3", "3e-4") for seed in range(3)
  ]
  assert found[1].flags == (
    *("--config=digits:model=2", "--config.optim.lr=1e-3", "--config.seed=1"),
  )


def test_a_grid_goes_beside_the_variants_that_are_named():
  found = sweep.plan("digits:smoke", ["model=1", "model=4"], ["seed=3"])
  assert [one.name for one in found] == ["model=1,seed=3", "model=4,seed=3"]
  assert found[1].flags[0] == "--config=digits:model=4,smoke"
  assert len(sweep.plan("digits", ["*"], ["seed=0,1"])) == 10


def test_tuples_paths_and_ranges_are_values_of_a_grid():
  widths = "config.model.encoder.features=(32, 64),(16, 16)"
  path = "config.data.path=/a/b"
  found = sweep.plan("digits", [], [widths, path, "seed=-1..1,7"])
  assert len(found) == 8
  assert found[0].flags[1] == "--config.model.encoder.features=(32, 64)"
  assert "/" not in found[0].name
  assert found[-1].flags[-1] == "--config.seed=7"


@pytest.mark.parametrize(
  ("words", "said"),
  [
    (["config.optim.rate=1"], "no key 'rate'.* known: .*lr"),
    (["seed"], r"expected a key and its values.*config\.seed=0\.\.4"),
    (["seed=0", "config.seed=1"], "seed comes twice"),
    (["seed=4..0"], "has no number in it"),
    (["seed=1,,2"], "a value between commas is empty"),
  ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_any_training(words, said):
  with pytest.raises(configs.ConfigError, match=said):
    sweep.plan("digits", [], words)


def test_a_grid_trains_each_point_in_its_own_folder(tmp_path, monkeypatch):
  stub = _Stub({})
  monkeypatch.setattr(sweep, "_Trainer", lambda: stub)
  (tmp_path / "seed=1").mkdir()
  (tmp_path / "seed=1" / "DONE").touch()
  trainings = sweep.plan("digits:smoke", [], ["seed=0..2"])
  assert sweep._sweep(trainings, tmp_path, ["--config.epochs=3"]) == 0
  assert [order[4:] for order in stub.orders] == [
    [f"--config.seed={k}", f"--workdir={tmp_path / f'seed={k}'}", last]
    for k in (0, 2)
    for last in ["--config.epochs=3"]
  ]


@pytest.mark.parametrize(
  ("words", "said"),
  [
    (["--config.seed=7"], "found --config.seed=7, but --grid sets config.seed"),
    (["--config.seed", "7"], "found --config.seed, but --grid sets"),
    (["-config.seed=7"], "found -config.seed=7, but --grid sets"),
    (["--noconfig.loss.binarise"], "--grid sets config.loss.binarise"),
    (["--workdir=b"], "found --workdir=b, which each .* before the --"),
    (["--workdir", "b"], "found --workdir, which each training has"),
    (["--config=faces"], "found --config=faces, which each training has"),
  ],
)
def test_words_for_all_trainings_leave_the_grid_and_the_folders_alone(
  words, said, tmp_path, monkeypatch
):
  stub = _Stub({})
  monkeypatch.setattr(sweep, "_Trainer", lambda: stub)
  asked = {
    "config": "zoo:vae,smoke",
    "workdir": str(tmp_path / "sw"),
    "grid": ["config.seed=0..1", "loss.binarise=true,false"],
  }
  with pytest.raises(configs.ConfigError, match=said) as refused:
    small.run_command("sweep", "--config.epochs=3", *words, **asked)
  assert "\n" not in str(refused.value)
  assert not stub.orders
  assert not (tmp_path / "sw").exists()
  small.run_command("sweep", "--config.data.seed=7", **asked)
  assert len(stub.orders) == 4  # another key that ends as one of the grid


def test_a_second_sweep_of_a_folder_is_refused(tmp_path):
  with lock.hold(tmp_path, "sweeping"):
    done = _command(
      "sweep", "--config=configs/digits.py", f"--workdir={tmp_path}"
    )
  assert done.returncode == 1
  assert f"is sweeping in {tmp_path}" in done.stderr
  assert len(done.stderr.splitlines()) == 1


def test_a_table_lists_the_runs_that_have_not_ended(folder, tmp_path):
  for name in ("model=2", "model=4"):
    shutil.copytree(folder / name, tmp_path / name)
  (tmp_path / "model=4" / "DONE").unlink()
  (tmp_path / "model=5").mkdir()
  (tmp_path / "model=5" / ".lock").touch()
  (tmp_path / "notes").mkdir()
  text = table.write([tmp_path])
  assert text.splitlines()[-2:] == [
    "model=4: not finished, at step 24, epoch 2 of 2",
    "model=5: failed or stopped before its first metrics",
  ]
  shutil.rmtree(tmp_path / "model=2")
  shutil.rmtree(tmp_path / "model=4")
  with pytest.raises(table.TableError, match="model=5: failed or stopped"):
    table.collect(tmp_path)


def test_what_cannot_be_swept_or_tabulated_is_explained(tmp_path):
  done = _command(
    "sweep", "--config=configs/classifier.py", f"--workdir={tmp_path}"
  )
  assert done.returncode == 1
  assert "defines no sweep()" in done.stderr
  done = _command(
    "sweep",
    "--config=configs/digits.py",
    f"--workdir={tmp_path}",
    "--only=model=7",
  )
  assert "'model=7'" in done.stderr
  with pytest.raises(table.TableError, match="no run with a finished epoch"):
    table.collect(tmp_path)


@pytest.mark.parametrize("name", ["digits", "faces"])
def test_every_variant_of_a_sweep_is_a_config_with_a_curve(name):
  path = f"configs/{name}.py"
  suffix = ",full" if name == "digits" else ""
  for variant in pages.variants(path):
    config = configs.load(f"{path}:{variant}{suffix}")
    assert config.reference.startswith(f"{name}/")


@pytest.mark.parametrize(
  "name", ["digits.py:full,", "faces.py:", "colour.py:model=1,prepared,"]
)
def test_a_few_steps_are_held_against_no_published_curve(name):
  assert configs.load(f"configs/{name}smoke").reference == ""
