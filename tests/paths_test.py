"""Paths that a user gives mean the same everywhere."""

from pathlib import Path

import pytest

from cvae_jax import runs, train
from cvae_jax.data.files import (
  digit_files,
  face_tables,
  image_files,
  preparing,
  vgg_files,
)
from cvae_jax.host import paths
from cvae_jax.host.paths import PathError
from cvae_jax.loop import begin
from tests import small

BAD = ["", "  ", "gs://bucket/run", "s3://x", "~nobody_of_that_name/x", "a\0b"]


@pytest.mark.parametrize("path", BAD)
def test_what_is_no_path_of_this_machine_is_refused_and_named(path):
  with pytest.raises(PathError, match=r"^--workdir is ") as error:
    paths.local(path, "--workdir")
  assert repr(path) in str(error.value)
  assert "\n" not in str(error.value)


def test_a_tilde_is_the_home_folder_everywhere(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  assert paths.local("~/run") == tmp_path / "run"
  with pytest.raises(ValueError, match=f"{tmp_path}/run is not a run"):
    runs.load("~/run")
  with pytest.raises(ValueError, match=f"no photo {tmp_path}/a.png"):
    image_files.read_photo("~/a.png", image_files.Fit(8))
  with pytest.raises(ValueError, match=f"no table {tmp_path}/a.csv"):
    face_tables.read("~/a.csv", [])
  assert begin._loan("~/run@3:encoder") == (tmp_path / "run", 3, ["encoder"])


@pytest.mark.parametrize("path", ["  ", "gs://bucket/x", "~nobody_of_it/x"])
@pytest.mark.parametrize(
  "use",
  [
    runs.load,
    begin._loan,
    lambda path: digit_files.read("mnist", path),
    lambda path: image_files.read_photo(path, image_files.Fit(8)),
    lambda path: vgg_files._locate("vgg19", path),
    lambda path: paths.folder(path),
  ],
)
def test_every_use_of_a_path_refuses_what_is_none_of_this_machine(use, path):
  with pytest.raises(PathError):
    use(path)


@pytest.mark.parametrize("name", ["file", "file/below", "file/far/below"])
def test_a_workdir_that_is_a_file_or_below_one_is_one_line(
  data, tmp_path, name
):
  (tmp_path / "file").touch()
  with pytest.raises(PathError, match="file is a file; expected a fold") as e:
    train.train_and_evaluate(small.config(data), tmp_path / name)
  assert "\n" not in str(e.value)


def test_a_folder_among_the_checkpoints_of_a_run_is_refused(data, tmp_path):
  (tmp_path / "run/checkpoints/7").mkdir(parents=True)
  (tmp_path / "run/config.json").touch()
  for name in ("9", "7/new", ""):
    place = tmp_path / "run/checkpoints" / name
    with pytest.raises(PathError, match="among the checkpoints of the run"):
      train.train_and_evaluate(small.config(data), place)
  assert paths.folder(tmp_path / "run/export") == tmp_path / "run/export"
  assert paths.folder(tmp_path / "checkpoints/a") == tmp_path / "checkpoints/a"


def test_a_folder_with_an_at_or_a_colon_in_its_name_lends_its_parameters(
  tmp_path,
):
  for name in ("exp@2026", "exp:a", "plain"):
    (tmp_path / name).mkdir()
  cases = {
    "exp@2026": ("exp@2026", None, []),
    "exp@2026@5": ("exp@2026", 5, []),
    "exp@2026:encoder": ("exp@2026", None, ["encoder"]),
    "exp@2026@5:encoder,decoder": ("exp@2026", 5, ["encoder", "decoder"]),
    "exp:a": ("exp:a", None, []),
    "exp:a@7": ("exp:a", 7, []),
    "plain@5": ("plain", 5, []),
    "plain": ("plain", None, []),
  }
  for source, (name, step, branches) in cases.items():
    found = begin._loan(f"{tmp_path}/{source}")
    assert found == (tmp_path / name, step, branches), source


class _Options:
  images = "gs://bucket"
  out = "somewhere"


def test_preparing_refuses_a_remote_folder_in_one_line(capsys):
  assert preparing.run(lambda options: None, _Options()) == 1
  said = capsys.readouterr().err
  assert said.startswith("error: --images is 'gs://bucket': remote")
  assert len(said.splitlines()) == 1


def test_preparing_expands_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  options = _Options()
  options.images = "~/faces"
  assert preparing.run(lambda options: None, options) == 0
  assert options.images == tmp_path / "faces"
  assert options.out == Path("somewhere")
