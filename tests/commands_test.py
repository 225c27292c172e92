"""Commands that messages name can be typed where the user is."""

import shlex
from pathlib import Path

import pytest

from cvae_jax import config, pages, runs
from cvae_jax.host import commands
from cvae_jax.loop.folder import exports
from launch import prepare
from tests import prepare_images_test as images

ROOT = Path(__file__).parents[1]


def test_in_a_checkout_commands_are_its_modules_and_scripts(monkeypatch):
  monkeypatch.chdir(ROOT)
  assert commands.format_command("train") == "python -m launch.train"
  assert commands.format_prepare("faces") == "python data/prepare_faces.py"


def test_elsewhere_commands_are_those_of_the_installed_package(
  monkeypatch, tmp_path
):
  monkeypatch.chdir(tmp_path)
  assert commands.format_command("train") == "cvae-jax train"
  assert commands.format_prepare("digits") == "cvae-jax prepare digits"


def test_prepare_lists_what_it_prepares(capsys):
  assert prepare.main(["--help"]) == 0
  said = capsys.readouterr().out
  scripts = [path.stem for path in (ROOT / "data").glob("prepare_*.py")]
  assert len(scripts) > 3
  for script in scripts:
    assert f"  {script.removeprefix('prepare_')} " in said
  assert prepare.main(["cats"]) == 1
  assert "'cats' is none of digits, faces" in capsys.readouterr().err


def test_a_sweep_finds_a_page_by_its_short_name(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  assert pages.variants("digits")[0] == "model=1"
  assert config.load_page("digits:model=1,full").data.ink == "global"


def test_the_command_that_follows_a_preparation_can_be_pasted(tmp_path, capsys):
  out = tmp_path / "Blüten & Blätter"
  images.classes(tmp_path / "in")
  assert images.prepare(tmp_path / "in", out) == 0
  words = shlex.split(capsys.readouterr().out.rpartition("Next: ")[2])
  assert f"--config.data.path={out}" in words
  assert f"--workdir=runs/{out.name}" in words


def test_a_folder_with_blanks_is_one_word_of_the_command_in_an_error(tmp_path):
  folder = tmp_path / "my run"
  with pytest.raises(runs.RunError) as error:
    runs.load(folder)
  assert str(error.value).endswith(f"--workdir='{folder}'")
  folder.mkdir()
  (folder / exports.WEIGHTS).touch()
  with pytest.raises(ValueError, match="is an export") as error:
    exports.refuse_training(folder)
  assert f"--config.init_from='{folder}' " in str(error.value)
