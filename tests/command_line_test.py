"""The words of a command: none is ignored, and its help lists every flag."""

import os
import subprocess
import sys

import pytest
from PIL import Image

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


@pytest.mark.parametrize("module", ["train", "tune"])
def test_a_folder_in_which_nothing_has_begun_is_named(tmp_path, module):
  found = call(module, f"--workdir={tmp_path / 'gone'}")
  assert found.returncode == 1
  assert found.stderr.startswith(
    f"error: nothing has begun in {tmp_path / 'gone'}; give --config=PAGE"
  )
  shown = call(module, f"--workdir={tmp_path / 'gone'}", "--help").stdout
  assert "--workdir" in shown


def draw_one(path):
  """Write the picture of a digit, a one."""
  digit = Image.new("L", (28, 28))
  digit.paste(255, (12, 4, 16, 24))
  digit.save(path)
  return path


def test_handwriting_without_a_judge_says_how_to_get_one(tmp_path):
  one = draw_one(tmp_path / "one.png")
  asked = [f"--image={one}", "--workdir=pretrained/digits"]
  words = [sys.executable, "-m", "launch.handwriting", *asked]
  around = {**os.environ, "PYTHONPATH": str(small.ROOT)}
  found = subprocess.run(
    words, cwd=tmp_path, env=around, capture_output=True, text=True
  )
  assert found.returncode == 1
  assert "give --judge=RUN, or train one: cvae-jax train" in found.stderr


def test_a_picture_named_without_an_ending_is_a_png_file(tmp_path):
  one = draw_one(tmp_path / "one.png")
  found = call(
    *("edit", "--workdir=pretrained/digits", f"--image={one}"),
    *("--condition=class=3,ink=0", f"--out={tmp_path / 'mine'}"),
  )
  assert found.returncode == 0, found.stderr
  assert found.stdout.endswith(f"wrote {tmp_path / 'mine.png'}\n")
  with Image.open(tmp_path / "mine.png") as made:
    assert made.format == "PNG"


def test_a_folder_that_is_there_takes_a_sample_whatever_its_name(tmp_path):
  (tmp_path / "v1.2").mkdir()
  asked = [f"--out={tmp_path / 'v1.2'}", "--set=class=3,ink=0"]
  found = call("sample", "--workdir=pretrained/digits", *asked)
  assert found.returncode == 0, found.stderr
  assert (tmp_path / "v1.2" / "asked.png").exists()


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
