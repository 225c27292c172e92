"""Folders with odd names, and folders that are none."""

import contextlib
import os
from unittest import mock

from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("environment")
faults = _group.faults


def _into(name):
  """Train into a folder of that name; the value: what load makes of it."""

  def act(room):
    run = room.folder / name
    done = room.train(run, epochs=1)
    if done.code == 0:
      loaded = room.load(run)
      right = room.load(room.base.half())
      done.value = (
        [] if _state(loaded) == _state(right) else [loaded.text[-200:]]
      )
    return done

  return act


def _state(loaded):
  return loaded.value and loaded.value[0]


for _name in (
  "run[1]",
  "lr=[0.1,0.2]",
  "par[2]/run",
  "a*b",
  "what?",
  "[x",
  "{a,b}",
  "with space",
  "Ünïcode 数字",
  "trailing/",
  "a'b\"c",
  "a$HOME",
  "100%",
  "%s%d",
  "-dash",
  "a;b&c",
  "a@2026",
  "run:encoder",
  "back\\slash",
  "tab\there",
  "line\nbreak",
  "deep/" * 30 + "run",
):
  _judge = same_or_refused(nothing, "workdir", _name[:5], wrong=LOSS)
  _group.add(f"workdir {_name[:20]!r}", _into(_name), _judge)
_group.add(
  "workdir of 300 letters", _into("x" * 300), refused("workdir", "xxx")
)


def _inside(room):
  """Stand in the room's folder, so that a stray folder goes with it."""
  (room.folder / "configs").symlink_to(launching.ROOT / "configs")
  return contextlib.chdir(room.folder)


def _at(workdir):
  def act(room):
    with _inside(room):
      return room.train(workdir, epochs=1)

  return act


for _name in ("gs://bucket/run", "s3://bucket/run", "", "/proc/x", "/dev/null"):
  _names = (_name, "workdir") if _name else ("workdir",)
  _group.add(f"workdir {_name!r}", _at(_name), refused(*_names), quick=True)


@_group.fault("workdir a file", refused("file", "afile"), quick=True)
def _(room):
  (room.folder / "afile").write_text("x")
  return room.train(room.folder / "afile", epochs=1)


@_group.fault("workdir below a file", refused("afile"), quick=True)
def _(room):
  (room.folder / "afile").write_text("x")
  return room.train(room.folder / "afile" / "run", epochs=1)


@_group.fault("workdir a dangling link", refused("link"), quick=True)
def _(room):
  (room.folder / "link").symlink_to(room.folder / "nowhere" / "at" / "all")
  return room.train(room.folder / "link", epochs=1)


@_group.fault("workdir a link to a folder", works(nothing))
def _(room):
  run = room.copy()
  (room.folder / "link").symlink_to(run)
  return room.resume(room.folder / "link")


for _name in ("metrics.jsonl", "config.json", "environment.json", "DONE"):

  def _folder_instead(room, name=_name):
    run = room.copy()
    (run / name).unlink()
    (run / name).mkdir()
    return room.resume(run)

  _group.add(f"{_name} a folder", _folder_instead, refused(_name))
for _name in ("samples", "checkpoints"):

  def _file_instead(room, name=_name):
    import shutil

    run = room.copy()
    shutil.rmtree(run / name)
    (run / name).write_text("x")
    return room.resume(run)

  _group.add(f"{_name} a file", _file_instead, refused(_name))


@_group.fault("a home folder written ~", works(bool))
def _(room):
  home = {"HOME": str(room.folder)}
  with mock.patch.dict(os.environ, home), _inside(room):
    done = room.train("~/run", epochs=1)
  done.value = (room.folder / "run" / "DONE").exists()
  return done
