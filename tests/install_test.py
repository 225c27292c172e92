"""Pages by short name, commands by name, and the code that made a run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cvae_jax import __version__, config, pages
from cvae_jax.loop.folder import provenance
from launch import main

ROOT = Path(__file__).parents[1]


def test_a_short_name_is_the_page_of_that_name(tmp_path, monkeypatch):
  whole = config.load(str(ROOT / "configs" / "digits.py:model=4,smoke"))
  monkeypatch.chdir(tmp_path)
  assert config.load("digits:model=4,smoke") == whole


def test_a_file_that_exists_wins_over_a_page(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "digits").write_text("")
  assert pages.find("digits") == "digits"


def test_an_unknown_page_is_one_line_with_the_nearest_and_all():
  with pytest.raises(config.ConfigError) as caught:
    pages.find("digit")
  line = str(caught.value)
  assert "did you mean 'digits'?" in line
  assert "faces" in line
  assert "\n" not in line


def test_commands_are_listed_each_with_its_line(capsys, monkeypatch):
  monkeypatch.setattr(sys, "argv", ["cvae-jax"])
  assert main.main() == 0
  out = capsys.readouterr().out
  assert "  sample       Draw a run's figures as PNG" in out
  assert "  prepare " in out


def test_an_unknown_command_is_one_line_with_the_nearest(capsys, monkeypatch):
  monkeypatch.setattr(sys, "argv", ["cvae-jax", "smaple"])
  assert main.main() == 1
  assert "did you mean 'sample'?" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys, monkeypatch):
  monkeypatch.setattr(sys, "argv", ["cvae-jax", "--version"])
  assert main.main() == 0
  assert capsys.readouterr().out == f"cvae-jax {__version__}\n"


def test_the_commit_is_never_that_of_another_repository(tmp_path, monkeypatch):
  # As with an environment that lies in a user's own repository.
  package = tmp_path / "env" / "cvae_jax"
  shutil.copytree(ROOT / "cvae_jax", package)
  git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
  for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "mine"]):
    subprocess.run([*git, *words], check=True)
  before = provenance.describe_code()
  monkeypatch.setattr(provenance, "PACKAGE", package)
  after = provenance.describe_code()
  assert after["commit"] is None
  assert after["uncommitted"] is False
  assert after["sha256"] == before["sha256"]


def test_the_hash_changes_with_the_code(tmp_path):
  (tmp_path / "a.py").write_text("1")
  first = provenance.files_hash(tmp_path)
  (tmp_path / "a.py").write_text("2")
  assert provenance.files_hash(tmp_path) != first
