"""Commands that are given damaged or foreign folders and files."""

import json
import shutil

from PIL import Image, ImageDraw

from benchmarks.faults.case import Group
from benchmarks.faults.corruption import NEWEST
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("corruption")
faults = _group.faults


def _out(room):
  return f"--out={room.folder / 'report'}"


def _picture(room):
  path = room.folder / "photo.png"
  picture = Image.new("L", (64, 64), 255)
  ImageDraw.Draw(picture).line((20, 12, 44, 52), 0, 6)  # a stroke to be read
  picture.save(path)
  return f"--image={path}"


# What each command is called with, beside the folder of a run or of runs.
_COMMANDS = {
  "sample": lambda room, run: (f"--workdir={run}",),
  "evaluate": lambda room, run: (
    f"--workdir={run}",
    "--samples=0",
    "--per_class=2",
  ),
  "evaluate's judge": lambda room, run: (
    f"--workdir={room.base.half()}",
    f"--judge={run}",
    "--samples=0",
    "--per_class=2",
  ),
  "table": lambda room, run: (run,),
  "verify": lambda room, run: (run,),
  "edit": lambda room, run: (f"--workdir={run}", _picture(room)),
  "colourise": lambda room, run: (f"--workdir={run}", "--variants=1"),
  "handwriting": lambda room, run: (f"--workdir={run}", _picture(room)),
  "report": lambda room, run: ("zoo", f"--runs={run}", _out(room)),
}


def _absent(room):
  return room.folder / "run"


def _empty(room):
  folder = room.folder / "run"
  folder.mkdir()
  return folder


def _file(room):
  path = room.folder / "run"
  path.write_text("x")
  return path


def _harmed(harm):
  def make(room):
    run = room.copy()
    harm(run)
    return run

  return make


def _texts(name, text):
  return _harmed(lambda run: (run / name).write_text(text))


_FOLDERS = {
  "an absent folder": _absent,
  "an empty folder": _empty,
  "a file": _file,
  "a run without checkpoints": _harmed(
    lambda run: shutil.rmtree(run / "checkpoints")
  ),
  "a run whose config.json is deep": _texts("config.json", "[" * 100_000),
  "a run whose conditions.json is deep": _texts(
    "conditions.json", '{"a":' * 100_000
  ),
  "a run whose data.json is a list": _texts("data.json", "[]"),
  "a run whose data.json lacks a split": _texts("data.json", "{}"),
}
# table and verify read rows alone, report what its report is of.
_READERS = {
  "table": ("an absent folder", "an empty folder", "a file"),
  "verify": ("an absent folder", "an empty folder", "a file"),
  "report": ("an absent folder", "a file"),
}
for _command, _words in _COMMANDS.items():
  for _kind in _READERS.get(_command, _FOLDERS):

    def _act(room, command=_command, words=_words, make=_FOLDERS[_kind]):
      run = make(room)
      module = f"launch.{command.partition(chr(39))[0]}"
      return room.command(module, *words(room, run))

    _group.add(
      f"{_command} given {_kind}",
      _act,
      refused("run", "config.json", "data.json", "conditions.json"),
      quick="deep" in _kind or _command in _READERS,
    )
for _command in ("edit", "colourise", "handwriting", "evaluate's judge"):

  def _foreign(room, command=_command):
    run = room.copy()
    module = f"launch.{command.partition(chr(39))[0]}"
    return room.command(module, *_COMMANDS[command](room, run))

  _group.add(
    f"{_command} given a run that it is not for",
    _foreign,
    refused("run", "needs", "judge"),
  )

_SCORES = {
  "empty": "",
  "a list": "[]",
  "a number": "1",
  "NULs": "\0" * 40,
  "deep": "[" * 100_000,
  "of no protocol": "{}",
}
for _name, _text in _SCORES.items():

  def _again(room, text=_text):
    run = room.copy()
    (run / "scores.json").write_text(text)
    words = ("--samples=0", "--per_class=2")
    return room.command("launch.evaluate", f"--workdir={run}", *words)

  _group.add(
    f"scores.json {_name}, then evaluated",
    _again,
    same_or_refused(lambda value: True, "scores.json"),
  )


def _tabled(harm):
  """Tabulate a good run beside a harmed one: the good one is shown."""

  def act(room):
    runs = room.folder / "runs"
    shutil.copytree(room.base.whole(), runs / "good")
    harm(shutil.copytree(room.base.half(), runs / "harmed"))
    done = room.command("launch.table", runs)
    done.value = [] if "good" in done.text else ["the good run is not shown"]
    return done

  return act


for _name, _harm in {
  "without rows": lambda run: (run / "metrics.jsonl").unlink(),
  "of broken rows": lambda run: (run / "metrics.jsonl").write_text("{\n1\n"),
  "of a damaged config.json": lambda run: (run / "config.json").write_text(""),
  "of damaged scores.json": lambda run: (run / "scores.json").write_text("["),
  "whose scores.json is a list": lambda run: (run / "scores.json").write_text(
    "[1]"
  ),
}.items():
  _group.add(
    f"table of a good run and one {_name}",
    _tabled(_harm),
    same_or_refused(nothing, "harmed", "scores.json"),
    quick=True,
  )

_ROWS = {
  "a step of true": '{"step": true, "split": "train", "epoch": 1}',
  "a step below 0": '{"step": -5, "split": "train", "epoch": 1}',
  "a step of text": '{"step": "7", "split": "train", "epoch": 1}',
  "a step of 10**400": '{"step": 1' + "0" * 400 + ', "split": "train"}',
  "a row without a split": '{"step": 3}',
  "a split of a list": '{"step": 3, "split": [], "epoch": 1}',
  "a deep row": "[" * 100_000,
  "a lone surrogate": '{"step": 3, "split": "\\ud800", "epoch": 1}',
}
for _name, _row in _ROWS.items():

  def _rowed(room, row=_row):
    run = room.copy()
    with (run / "metrics.jsonl").open("a") as file:
      file.write(row + "\n")
    done = room.resume(run)
    if done.code == 0:
      room.command("launch.table", room.folder)
    return done

  _group.add(
    f"metrics.jsonl with {_name}, then resumed",
    _rowed,
    same_or_refused(nothing, "metrics.jsonl"),
  )


def _stray(name, folder):
  def act(room):
    run = room.copy()
    path = run / "checkpoints" / name
    if folder:
      shutil.copytree(run / NEWEST, path)
    else:
      path.write_text("x")
    return room.resume(run)

  return act


for _name in ("13", "1e3", "-1"):
  _group.add(
    f"a file checkpoints/{_name}",
    _stray(_name, False),
    same_or_refused(nothing, f"checkpoints/{_name}", f"checkpoint {_name}"),
  )
for _name in ("0012", "12.old", "+12", "١٢"):
  _group.add(
    f"a copy of a checkpoint named {_name}",
    _stray(_name, True),
    same_or_refused(nothing, _name, "checkpoint"),
  )


@_group.fault("counters of another step's checkpoint", refused("checkpoint"))
def _(room):
  run = room.copy()
  old, new = (run / f"checkpoints/{n}/counters/metadata" for n in ("7", "12"))
  new.write_bytes(old.read_bytes())
  return room.load(run)


@_group.fault("a key of config.json that nobody knows", works(nothing))
def _(room):
  run = room.copy()
  path = run / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | {"later": 1}))
  return room.call(lambda: [] if room.load(run).code == 0 else ["not loaded"])
