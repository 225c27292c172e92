"""Bits flipped, ends cut off and files lost, in every file of a checkpoint."""

from benchmarks.faults.case import CannotRun, Group, Outcome
from benchmarks.faults.corruption import NEWEST, intact
from benchmarks.faults.judges import nothing, same_or_refused

_group = Group("corruption")
faults = _group.faults

_COUNT = 16  # files of a checkpoint that are not empty, in order
_HARMS = {
  "its first bit flipped": lambda old: _flip(old, 0),
  "its middle bit flipped": lambda old: _flip(old, len(old) // 2),
  "its last bit flipped": lambda old: _flip(old, len(old) - 1),
  "three quarters left": lambda old: old[: len(old) * 3 // 4],
  "zeroed": lambda old: bytes(len(old)),
  "gone": None,
}


def _flip(old: bytes, at: int) -> bytes:
  return old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]


def _harming(number: int, how):
  def act(room):
    run = room.copy()
    files = sorted(p for p in (run / NEWEST).rglob("*") if p.is_file())
    files = [path for path in files if path.stat().st_size]
    if number >= len(files):
      raise CannotRun(f"a checkpoint has {len(files)} files here")
    path = files[number]
    if how is None:
      path.unlink()
    else:
      path.write_bytes(how(path.read_bytes()))
    done = room.load(run)
    where = path.relative_to(run)
    if done.code == 0:
      same = intact(room)(done.value)
      done.value = [] if same else [f"{where} gives another state"]
    return done if done.value is not None else _located(done, where)

  return act


def _located(done: Outcome, where) -> Outcome:
  """Add to a failure's text which file it was, for the harness's reader."""
  return Outcome(done.code, done.text, [str(where)], done.hung)


for _number in range(_COUNT):
  for _how in _HARMS:
    _group.add(
      f"checkpoint's file {_number}, {_how}",
      _harming(_number, _HARMS[_how]),
      same_or_refused(nothing, NEWEST, "checkpoint 12", "step 12"),
      quick=_how == "its middle bit flipped" and _number % 2 == 0,
    )
