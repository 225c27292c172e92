"""Disks that are full, read-only, or fail."""

import errno
import os
from unittest import mock

from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, CannotRun, Group
from benchmarks.faults.environment import _line
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("disk")
faults = _group.faults
_ROOM = ("space", "disk", "too large", "file size", "No space")


def _then_with_room(room, run, before):
  """Go on without the fault; what the fault said is judged by `refused`."""
  if before.code == 0 or before.hung:
    before.value = room.differences(run)
    return before
  done = room.resume(run)
  if done.code or done.value:
    return launching.Outcome(0, done.text, done.value or ["cannot go on"])
  return before


def _limited(kilobytes):
  def act(room):
    run = room.copy()
    prefix = f"ulimit -f {kilobytes}; "
    env = {"CVAE_JAX_TUNE": "0", "JAX_COMPILATION_CACHE_DIR": ""}
    done = launching.shell(prefix + _line(room, run), env, limit=60)
    return _then_with_room(room, run, done)

  return act


for _size in (0, 1, 4, 10, 20, 40, 100, 200):
  _judge = same_or_refused(nothing, *_ROOM, "large", wrong=LOSS)
  _group.add(f"files of {_size} KiB at most", _limited(_size), _judge)


def _mounted(room, options):
  folder = room.folder / "disk"
  folder.mkdir()
  done = launching.shell(f"mount -t tmpfs -o {options} tmpfs '{folder}'")
  if done.code:
    raise CannotRun(f"cannot mount: {done.text.strip()}")
  room.unmount.append(folder)
  return folder


def _filled(options):
  def act(room):
    import shutil

    disk = _mounted(room, options)
    run = disk / "run"
    done = room.train(run)
    kept = room.folder / "run"
    if done.code == 0:
      done.value = room.differences(run)
      return done
    if run.exists():
      shutil.copytree(run, kept)
    return _then_with_room(room, kept, done)

  return act


for _options in (
  "size=16k",
  "size=100k",
  "size=300k",
  "size=600k",
  "size=900k",
  "nr_inodes=10",
  "nr_inodes=30",
  "nr_inodes=60",
):
  _judge = same_or_refused(nothing, *_ROOM, wrong=LOSS)
  _group.add(f"a disk of {_options}", _filled(_options), _judge)


def _read_only(room, folder):
  line = f"mount --bind '{folder}' '{folder}'"
  line += f" && mount -o remount,ro,bind '{folder}'"
  done = launching.shell(line)
  if done.code:
    raise CannotRun(f"cannot mount: {done.text.strip()}")
  room.unmount.append(folder)


@_group.fault("resumed on a read-only disk", refused("read-only", "Read-only"))
def _(room):
  run = room.copy()
  _read_only(room, run)
  return room.train(run)


@_group.fault("finished on a read-only disk", works())
def _(room):
  run = room.copy("whole")
  _read_only(room, run)
  return room.train(run)


@_group.fault("loaded from a read-only disk", works())
def _(room):
  run = room.copy()
  _read_only(room, run)
  return room.load(run)


@_group.fault("trained into a read-only disk", refused("read-only"))
def _(room):
  parent = room.folder / "runs"
  parent.mkdir()
  _read_only(room, parent)
  return room.train(parent / "run")


for _module, _words in {
  "launch.sample": (),
  "launch.evaluate": ("--samples=0", "--per_class=3"),
}.items():

  def _drawing(room, module=_module, words=_words):
    run = room.copy()
    _read_only(room, run)
    return room.command(module, f"--workdir={run}", *words)

  _group.add(f"{_module} on a read-only disk", _drawing, refused("read-only"))


def _failing(name, number, after):
  """Let a system call fail from its `after`th call on; then go on without."""

  def act(room):
    run = room.copy()
    calls = []
    real = getattr(os, name)

    def fail(*args, **options):
      calls.append(args)
      if len(calls) > after:
        raise OSError(number, os.strerror(number))
      return real(*args, **options)

    with mock.patch.object(os, name, fail):
      done = room.train(run)
    return _then_with_room(room, run, done)

  return act


for _call in ("fsync", "replace", "rename"):
  for _number in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
    for _after in (0, 3):
      _said = os.strerror(_number)
      _group.add(
        f"{_call} fails after {_after}: {_said}",
        _failing(_call, _number, _after),
        same_or_refused(nothing, _said, wrong=LOSS),
      )


@_group.fault(
  "TensorBoard's file cannot grow",
  same_or_refused(nothing, "space", "TensorBoard", "events", wrong=LOSS),
)
def _(room):
  from tensorboardX.record_writer import RecordWriter

  def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  run = room.copy()
  with mock.patch.object(RecordWriter, "write", fail):
    done = room.train(run, log_every=1)
  if done.code:
    return _then_with_room(room, run, done)
  done.value = []
  return done
