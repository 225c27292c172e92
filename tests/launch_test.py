"""The launcher: what a person sees, and what a mistake is answered with."""

import contextlib
import errno
import functools
import io
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from absl import flags
from ml_collections import config_flags

from benchmarks.faults import launching
from cvae_jax import config as configs, train
from cvae_jax.config import ConfigError
from cvae_jax.host import console, plugins
from cvae_jax.loop import job_checks
from cvae_jax.loop.folder import fixed
from launch import command
from tests import small


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
  """A run off a terminal, from start to end."""
  folder = tmp_path_factory.mktemp("run")
  return small.launch(*small.flags(data), f"--workdir={folder}")


def test_off_a_terminal_progress_is_plain_lines(done):
  assert done.returncode == 0, done.stderr
  lines = re.findall(
    r"^step (\d+)/24  loss \d+\.\d{4}  \d+ examples/s  \d+:\d\d:\d\d left$",
    done.stdout,
    re.MULTILINE,
  )
  assert lines == [str(step) for step in range(3, 25, 3)]
  assert "\r" not in done.stdout
  assert "\x1b" not in done.stdout


def test_the_first_lines_say_what_is_trained_on_what(done):
  assert re.match(
    r"cvae: [\d,]+ parameters, 400 examples, 24 steps of 32 from 0, on ",
    done.stdout,
  )
  assert "−ELBO" in done.stdout


def test_epochs_and_tests_have_lines_of_their_own(done):
  for line in ("epoch 1/2: ", "test 1/2: ", "epoch 2/2: ", "test 2/2: "):
    assert f"\n{line}" in done.stdout


def test_orbax_and_others_are_silent(done):
  assert "orbax" not in (done.stdout + done.stderr).lower()
  assert "warning" not in done.stderr.lower()
  assert len(done.stdout.splitlines()) < 20


def test_on_a_terminal_a_bar_shows_the_steps(data, tmp_path):
  ours, theirs = pty.openpty()
  process = subprocess.Popen(
    [
      *(sys.executable, "-m", "launch.train", *small.flags(data)),
      f"--workdir={tmp_path}",
    ],
    cwd=small.ROOT,
    env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    stdout=theirs,
    stderr=theirs,
  )
  os.close(theirs)
  shown = b""
  with contextlib.suppress(OSError):  # Linux's way to say that it has ended
    while block := os.read(ours, 4096):
      shown += block
  os.close(ours)
  text = shown.decode()
  assert process.wait() == 0, text
  assert "24/24" in text
  assert "examples/s" in text
  assert "test 2/2: " in text
  assert "\x1b" in text


def refused(*words):
  """Runs the launcher, which must fail by itself; gives what it says."""
  done = small.launch(*words)
  assert done.returncode == 1, done.stdout + done.stderr
  return done.stderr


def test_without_flags_both_required_ones_are_named():
  said = refused()
  assert "--config" in said
  assert "--workdir" in said
  assert "Traceback" not in said


def test_a_misspelt_override_is_answered_with_a_suggestion(data, tmp_path):
  said = refused(
    *small.flags(data), "--config.optim.lrr=1", f"--workdir={tmp_path}"
  )
  assert "config.optim has no key 'lrr'; did you mean 'lr'" in said


def test_a_misspelt_variant_is_answered_with_a_suggestion(tmp_path):
  said = refused("--config=configs/digits.py:smok", f"--workdir={tmp_path}")
  assert "unknown variant 'smok'; did you mean 'smoke'" in said


def test_a_missing_config_file_is_named(tmp_path):
  said = refused("--config=configs/nix.py", f"--workdir={tmp_path}")
  assert "configs/nix.py" in said
  assert "no config file" in said


def test_a_known_error_is_one_line_and_no_traceback(data, tmp_path):
  flags = small.flags(data, data__image_shape=(32, 32, 1))
  done = launching.within(
    "launch.train", *flags, f"--workdir={tmp_path / 'run'}"
  )
  assert done.code == 1
  (said,) = done.text.splitlines()
  assert said.startswith("error: config.data.image_shape is (32, 32, 1)")
  assert "(28, 28, 1)" in said
  assert "(32, 32, 1)" in said
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"system": "cvea"}, "unknown system 'cvea'; did you mean 'cvae'"),
    (
      {"data__name": "digit"},
      "data source 'digit'; did you mean 'digits'",
    ),
    ({"batch_size": 401}, "400 rows, fewer than one batch of 401; lower"),
    ({"data__conditions": 5}, "data.conditions is 5, the data have 11"),
    (
      {"steps_per_dispatch": 2},
      "log_every=3 must be a multiple of steps_per_dispatch=2",
    ),
    (
      {"steps_per_dispatch": 8, "log_every": 8, "checkpoint_every": 8},
      "an epoch of 12 steps must be a multiple of steps_per_dispatch=8; 4 fits",
    ),
    (
      {"epochs": 2**30},
      "epochs=1073741824 are 12884901888 steps; expected few",
    ),
    ({"init_from": "nowhere"}, "nowhere is not a run's folder"),
    ({"optim__accumulate": 25}, "accumulate=25 is more than the 24 steps"),
    (
      {"model__encoder__latents": 10**9},
      r"GB of memory\. The largest array is .*1000000000\)\. Choose smaller",
    ),
  ],
)
def test_what_does_not_fit_is_a_value_error_that_says_so(
  data, tmp_path, changes, message
):
  """The launcher prints exactly these and exits with 1."""
  with pytest.raises(ValueError, match=message):
    train.train_and_evaluate(small.config(data, **changes), tmp_path)


def test_a_disk_without_room_for_a_checkpoint_is_said_before_a_step(
  data, tmp_path, monkeypatch
):
  free = shutil.disk_usage(tmp_path)._replace(free=1000)
  monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
  with pytest.raises(OSError, match=r"needs .* kB of disk, and 1\.0 kB"):
    train.train_and_evaluate(small.config(data), tmp_path / "run")
  monkeypatch.undo()
  assert not (tmp_path / "run" / "config.json").exists()


def test_a_flag_that_another_one_leaves_idle_is_refused_before_a_folder_is_made(
  tmp_path,
):
  flags = ["--config.loss.likelihood=sigma", "--config.loss.mse=4"]
  words = ["--config=configs/digits.py:smoke", *flags]
  folder = tmp_path / "run"
  done = launching.within("launch.train", *words, f"--workdir={folder}")
  assert done.code == 1
  (said,) = done.text.splitlines()
  assert "config.loss.mse=4.0 has no use while loss.likelihood is 's" in said
  assert not folder.exists()


@pytest.mark.parametrize("name", job_checks.COUNTS)
def test_a_number_of_the_loop_below_1_is_refused_before_a_folder_is_made(
  data, tmp_path, name
):
  config = small.config(data, **{name: 0})
  with pytest.raises(ConfigError, match=f"found {name}=0; expected 1 or more"):
    train.train_and_evaluate(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variant", ["scvae", "vae", "m3", "aae"])
def test_few_labels_are_refused_where_a_row_would_get_another_s_condition(
  data, tmp_path, variant
):
  given = {"data.labels": 20, "data.source": "mnist", "data.path": str(data)}
  config = configs.load(f"zoo:{variant},smoke", given)
  with pytest.raises(ConfigError, match=r"labels=20: the system .* leave it"):
    train.train_and_evaluate(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["jax_enable_x64", "jax_disable_jit"])
def test_a_setting_of_jax_under_which_nothing_trains_is_refused(
  data, tmp_path, name
):
  config = small.config(data)
  jax.config.update(name, True)
  try:
    with pytest.raises(ConfigError, match=f"{name.upper()} is on; expected"):
      train.train_and_evaluate(config, tmp_path / "run")
  finally:
    jax.config.update(name, False)
  assert not (tmp_path / "run").exists()


def test_missing_digits_are_answered_with_the_command_that_brings_them(
  tmp_path, monkeypatch
):
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))
  words = ["--config=configs/digits.py:full", f"--workdir={tmp_path / 'run'}"]
  done = launching.within("launch.train", *words)
  assert done.code == 1
  assert str(tmp_path / "mnist") in done.text
  assert "python data/prepare_digits.py" in done.text
  assert "Traceback" not in done.text
  assert not (tmp_path / "run").exists()


def test_a_broken_pipe_ends_no_training():
  reading, writing = os.pipe()
  os.close(reading)
  stream = os.fdopen(writing, "w")
  for _ in range(3):
    console.say("step 1", stream)
  stream.close()  # nothing is left that would fail here


def test_a_closed_or_full_stream_takes_lines_in_silence(monkeypatch):
  closed = io.StringIO()
  closed.close()
  monkeypatch.setattr("sys.stdout", closed)
  console.say("step 1")
  monkeypatch.setattr("sys.stdout", None)
  console.say("step 1")
  with Path("/dev/full").open("w") as full:
    console.say("step 1", full)


def test_what_an_encoding_has_no_sign_for_is_replaced():
  raw = io.BytesIO()
  stream = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
  console.say("was → is", stream)
  assert raw.getvalue() == b"was ? is\n"


def test_workdir_alone_goes_on_with_the_run_s_own_config(tmp_path):
  saved = configs.load("configs/digits.py:model=2", {"optim.lr": 0.25})
  (tmp_path / "config.json").write_text(configs.to_json(saved))
  for words in ([], [f"--config={tmp_path / 'config.json'}"]):
    found = _prepared([f"--workdir={tmp_path}", *words, "--config.epochs=7"])
    assert fixed.differences(saved, found) == []
    assert found.epochs == 7


def test_the_last_value_of_a_key_holds_of_tuples_too():
  key = "--config.model.encoder.features"
  words = [f"{key}=(4,)", "--config.epochs=3", f"{key}=(8, 2)"]
  words += ["--config.epochs=5", "--workdir=x"]
  found = _prepared(["--config=configs/digits.py", *words])
  assert found.model.encoder.features == (8, 2)
  assert found.epochs == 5
  emptied = _prepared(["--config=configs/digits.py", *words, f"{key}=()"])
  assert emptied.model.encoder.features == ()


@pytest.mark.parametrize("key", ["system", "data.name"])
def test_a_module_that_a_flag_names_is_trusted_however_it_is_written(
  key, monkeypatch
):
  name = f"--config.{key}"
  for words in ([f"{name}=my_lab.shapes"], [name, "my_lab.shapes"]):
    monkeypatch.setattr(plugins, "_trusted", set())
    _prepared(["--config=configs/digits.py", "--workdir=x", *words])
    assert "my_lab.shapes" in plugins._trusted


def _prepared(words):
  """Return the config that launch.train reads from its words."""
  launcher, _ = small.command("train")
  values = flags.FlagValues()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(flags, "FLAGS", values)
    patch.setattr(
      config_flags,
      "DEFINE_config_dict",
      functools.partial(config_flags.DEFINE_config_dict, flag_values=values),
    )
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    values(launcher.prepare(["train", *words]))
  return values.config


def test_an_unexpected_error_is_one_line_that_names_debug():
  (said,) = command.explain(KeyError("x"))
  assert said.startswith("error: unexpected KeyError: 'x'")
  assert "--debug" in said


@pytest.mark.parametrize(
  "said_by_jax",  # jax 0.10, when it is imported
  [
    'Invalid value "dice" for JAX flag jax_default_prng_impl',
    "invalid truth value 'dice' for environment 'JAX_DEFAULT_PRNG_IMPL'",
  ],
)
def test_a_value_that_jax_does_not_take_is_said_with_its_variable(said_by_jax):
  (said,) = command.explain(ValueError(said_by_jax))
  assert "dice" in said
  assert "unset JAX_DEFAULT_PRNG_IMPL in the environment" in said


@pytest.mark.parametrize(
  ("number", "advice"),
  [
    (errno.ENOSPC, "make room on the disk"),
    (errno.EDQUOT, "make room on the disk"),
    (errno.EFBIG, "make room on the disk"),
    (errno.EROFS, "give a place that you may write to"),
    (errno.EACCES, "give a place that you may write to"),
    (errno.ENOENT, "check the path"),
    (errno.EMFILE, "raise the limit of open files"),
    (errno.EIO, "the disk fails"),
    (errno.EISDIR, "move the folder away"),
    (errno.ENAMETOOLONG, "give a shorter name"),
  ],
)
def test_an_error_of_a_disk_says_where_and_what_to_do(number, advice):
  error = OSError(number, os.strerror(number), "runs/a/config.json")
  (said,) = command.explain(error)
  assert "'runs/a/config.json'" in said
  assert advice in said


@pytest.mark.parametrize(
  ("module", "word"),
  [
    ("evaluate", "--samples=-1"),
    ("evaluate", "--per_class=0"),
    ("evaluate", f"--seed={2**32}"),
    ("colourise", "--variants=0"),
    ("edit", "--crop=-1"),
  ],
)
def test_a_count_out_of_bounds_is_refused_by_its_flag(module, word):
  _, found = small.command(module)
  name, _, value = word.removeprefix("--").partition("=")
  with pytest.raises(flags.IllegalFlagValueError, match=f"flag --{name}"):
    found[name].parse(value)
