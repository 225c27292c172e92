"""The folder of compiled programs: where it is, and that bits stay."""

import os
import stat
import zlib
from typing import ClassVar

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from cvae_jax.host import compile_cache
from tests import small, small_zoo as zoo

FOLDER = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture(autouse=True)
def settings(monkeypatch):
  """Let a test change jax's environment, as a command of its own does."""
  monkeypatch.setattr(compile_cache, "sys", _WithoutJax)
  monkeypatch.setenv(FOLDER, "")
  monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
  monkeypatch.delenv(FOLDER)


class _WithoutJax:
  """Stands for sys in a command, in which jax comes later."""

  modules: ClassVar = {}
  stderr = None  # console.say then says it on standard output


def test_it_is_in_the_user_s_cache_folder(monkeypatch, tmp_path):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  folder = compile_cache.use()
  assert folder.parent == tmp_path / "cvae_jax" / "compiled"
  assert os.environ[FOLDER] == str(folder)
  assert stat.S_IMODE(folder.stat().st_mode) == 0o700
  monkeypatch.setenv("XDG_CACHE_HOME", "relative")
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  expected = tmp_path / "home" / ".cache" / "cvae_jax" / "compiled"
  assert compile_cache.default() == expected


def test_it_can_be_elsewhere_or_off(monkeypatch, tmp_path):
  assert compile_cache.use(str(tmp_path)).parent == tmp_path
  assert compile_cache.use("off") is None
  assert os.environ[FOLDER] == ""
  assert compile_cache.use() is None  # so it is in the trainings of a sweep
  monkeypatch.setenv(FOLDER, "/the/user's/own")
  assert compile_cache.use() is None
  assert os.environ[FOLDER] == "/the/user's/own"


def test_a_folder_that_cannot_be_written_is_one_warning(
  monkeypatch, tmp_path, capsys
):
  (tmp_path / "file").touch()
  assert compile_cache.use(str(tmp_path / "file" / "below")) is None
  said = capsys.readouterr()
  (line,) = (said.out + said.err).splitlines()
  assert line.startswith("warning: compiled programs cannot be kept in ")
  assert "--compile_cache=off" in line
  assert os.environ[FOLDER] == ""


def test_other_processors_have_other_folders(monkeypatch):
  mine = compile_cache._name_processor()
  assert compile_cache._name_processor() == mine
  monkeypatch.setattr(compile_cache.platform, "machine", lambda: "other")
  assert compile_cache._name_processor() != mine


def test_entries_that_a_kill_cut_short_go(tmp_path):
  folder = compile_cache.use(str(tmp_path))
  whole = zlib.compress(b"program")
  torn = zlib.compress(b"program" * 99)[:-5]
  for name, data in {"a": whole, "b": torn, "c": b"", "d": b"(zstd"}.items():
    (folder / f"{name}-cache").write_bytes(data)
  compile_cache.use(str(tmp_path))
  assert sorted(path.name for path in folder.glob("*-cache")) == [
    *("a-cache", "d-cache")
  ]


def test_the_oldest_entries_of_a_full_folder_go(monkeypatch, tmp_path):
  folder = compile_cache.use(str(tmp_path))
  for age in range(8):
    path = folder / f"{age}-cache"
    path.write_bytes(b"(" * 10)
    os.utime(path, (1000 - age, 1000 - age))
  monkeypatch.setattr(compile_cache, "LIMIT", 60)
  compile_cache.use(str(tmp_path))
  left = sorted(path.name for path in folder.glob("*-cache"))
  assert left == ["0-cache", "1-cache", "2-cache"]


@pytest.fixture
def programs(tmp_path):
  """Switch the folder of compiled programs of this process on and off."""
  before = jax.config.jax_compilation_cache_dir

  def switch(folder):
    jax.clear_caches()
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder and str(folder))

  yield switch
  switch(before)


def test_a_run_has_the_same_bits_with_it_and_without(
  data, tmp_path, programs, monkeypatch
):
  """Without; compiled into it; and with what is read from it."""
  small.evaluate_nothing(monkeypatch)
  folder = tmp_path / "programs"

  def kept():
    return {path.name for path in folder.glob("*-cache")}

  programs(None)
  plain = zoo.run(data, tmp_path / "plain", "vae", epochs=2)
  programs(folder)
  written = zoo.run(data, tmp_path / "written", "vae", epochs=2)
  before = kept()
  assert any(name.startswith("jit_dispatch") for name in before)
  programs(folder)
  read = zoo.run(data, tmp_path / "read", "vae", epochs=2)
  assert kept() == before
  for state in (written, read):
    pairs = zip(jax.tree.leaves(plain), jax.tree.leaves(state), strict=True)
    for a, b in pairs:
      np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
