"""The words of a command: none is ignored, and its help lists every flag."""

import subprocess
import sys

import pytest

from tests import small


def call(module, *words):
  """Run a command to its end."""
  return subprocess.run(
    [sys.executable, "-m", f"launch.{module}", *words],
    cwd=small.ROOT,
    capture_output=True,
    text=True,
    timeout=120,
  )


@pytest.mark.parametrize("behind", ["ink=0.5", "-- --temperature=0.5"])
def test_a_word_that_a_command_does_not_read_is_an_error(tmp_path, behind):
  # `--set class=3 ink=0.5` drew an ink of its own in silence.
  asked = ["--workdir=pretrained/digits", f"--out={tmp_path / 'a.png'}"]
  found = call("sample", *asked, "--set", "class=3", *behind.split())
  assert found.returncode == 1
  word = behind.split()[-1]
  assert found.stderr.startswith(f"error: found '{word}', which is no flag")
  assert "by commas" in found.stderr
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("module", "shared"),
  [
    ("sample", "guidance prior temperature seed [no]trust compile_cache"),
    ("export", "formats [no]half [no]encoder licence note step"),
    ("evaluate", "guidance prior temperature seed"),
  ],
)
def test_the_help_of_a_command_has_the_flags_that_it_shares(module, shared):
  shown = call(module, "--help").stdout
  for flag in shared.split():
    assert f"\n  --{flag}: " in shown


def test_the_help_of_cvae_jax_sample_begins_with_what_sample_does():
  assert call("main", "sample", "--help").stdout.startswith("Draw a run's fig")
