"""One process writes a folder, and says who it is."""

import errno
import fcntl
import os
import socket
import stat

import pytest

from cvae_jax.host import lock
from cvae_jax.host.paths import PathError


def test_the_second_is_told_who_holds_the_folder_and_what_to_do(tmp_path):
  with (
    lock.hold(tmp_path, "training"),
    pytest.raises(lock.FolderInUse) as error,
    lock.hold(tmp_path, "x"),
  ):
    pass
  assert str(error.value) == (
    f"process {os.getpid()} on {socket.gethostname()} is training in "
    f"{tmp_path}; one process at a time may. Wait for it, stop it, or use "
    "another folder"
  )


def test_what_a_killed_process_left_in_the_lock_is_not_said_of_the_next(
  tmp_path,
):
  (tmp_path / lock.FILE).write_text("1 host " + "preparing a long name" * 9)
  with (
    lock.hold(tmp_path, "training"),
    pytest.raises(lock.FolderInUse) as error,
    lock.hold(tmp_path, "x"),
  ):
    pass
  assert "preparing" not in str(error.value)


def test_a_folder_is_free_again_after_the_work_or_its_failure(tmp_path):
  with pytest.raises(KeyError), lock.hold(tmp_path, "training"):
    raise KeyError
  with lock.hold(tmp_path, "training"):
    pass


def test_others_who_may_write_the_folder_may_lock_it(tmp_path):
  mask = os.umask(0o002)
  try:
    with lock.hold(tmp_path, "training"):
      pass
  finally:
    os.umask(mask)
  mode = stat.S_IMODE((tmp_path / lock.FILE).stat().st_mode)
  assert mode == 0o664


def fail(number):
  def call(*_):
    raise OSError(number, os.strerror(number))

  return call


def test_a_file_system_without_locks_is_said_and_used(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(fcntl, "flock", fail(errno.ENOLCK))
  with lock.hold(tmp_path, "training"):
    pass
  (line,) = capsys.readouterr().out.splitlines()
  assert line.startswith(f"warning: {tmp_path} cannot be locked")


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_named(place):
  with (
    pytest.raises(PathError, match=f"{place} cannot be written to .*; give a"),
    lock.hold(place, "training"),
  ):
    pass


def test_a_full_disk_does_not_keep_from_locking(tmp_path, monkeypatch):
  monkeypatch.setattr(os, "pwrite", fail(errno.ENOSPC))
  with (
    lock.hold(tmp_path, "training"),
    pytest.raises(lock.FolderInUse),
    lock.hold(tmp_path, "training"),
  ):
    pass
