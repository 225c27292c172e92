"""Trainings killed and signalled, then started again: nothing may show."""

import contextlib
import os
import signal
import time
from pathlib import Path

from benchmarks import soak_resume as soak
from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group
from benchmarks.faults.judges import nothing, works

_group = Group("kill")
faults = _group.faults
_CALM = works(nothing, LOSS)


def _again(room, run, before):
  """Go on to the end in this process; the value: differences."""
  done = room.resume(run)
  done.text = f"{before.text}\n{done.text}"
  return done


def _killed_after(step, number=signal.SIGKILL, twice=False):
  """Signal once metrics.jsonl has a step; a save is due at 7, 12, 14, 21."""

  def act(room):
    run = room.folder / "run"
    process = room.spawn(run, log_every=1)
    _until(process, lambda: soak.last_step(run) >= step)
    for _ in range(1 + twice):
      with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    before = launching.finish(process)
    if before.hung:
      return before
    return _again_logged(room, run, before)

  return act


def _again_logged(room, run, before):
  """Go on with log_every=1 and compare the state and the steps of rows."""
  from benchmarks.equal_runs import final_state, unequal_leaves

  done = room.train(run, log_every=1)
  done.text = f"{before.text}\n{done.text}"
  if done.code == 0:
    states = [final_state(folder)[0] for folder in (run, room.base.whole())]
    done.value = unequal_leaves(*states)
    rows = soak.read_metrics(run)
    steps = [row["step"] for row in rows if row["split"] == "train"]
    if steps != list(range(1, 25)):
      done.value.append(f"rows of steps {steps}")
  return done


def _until(process, there, limit=60):
  end = time.monotonic() + limit * launching.PATIENCE
  while process.poll() is None and time.monotonic() < end and not there():
    time.sleep(0.0005)


for _step in (1, 2, 6, 7, 8, 11, 12, 13, 20, 23):
  _group.add(f"kill -9 past step {_step}", _killed_after(_step), _CALM)
for _name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"):
  _number = getattr(signal, _name)
  _group.add(f"{_name} past step 5", _killed_after(5, _number), _CALM)
_group.add("SIGTERM twice", _killed_after(5, signal.SIGTERM, True), _CALM)
_group.add("SIGINT twice", _killed_after(5, signal.SIGINT, True), _CALM)


def _killed_in_save(pause):
  def act(room):
    run = room.folder / "run"
    process = room.spawn(run, log_every=1)
    folder = run / "checkpoints"
    _until(process, lambda: any(folder.glob(soak.TEMPORARY)))
    time.sleep(pause)
    process.kill()
    return _again_logged(room, run, launching.finish(process))

  return act


for _pause in (0, 0.005, 0.01, 0.02, 0.04):
  _group.add(f"kill -9 {_pause} s into a save", _killed_in_save(_pause), _CALM)


def _saved_at(number):
  """Signal at step 5: the state of that step has to be kept, rc 75."""

  def act(room):
    run = room.folder / "run"
    process = room.spawn(run, log_every=1, epochs=400)
    _until(process, lambda: soak.last_step(run) >= 5)
    process.send_signal(number)
    done = launching.finish(process)
    if done.code == 75 and soak.list_saved_steps(run):
      done.code = 0
      done.value = []
    else:
      done.value = [f"rc {done.code}, saved {soak.list_saved_steps(run)}"]
      done.code = 0
    return done

  return act


for _name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
  _act = _saved_at(getattr(signal, _name))
  _group.add(f"{_name} saves and exits with 75", _act, _CALM)


def _early(number, seconds):
  """Signal while jax is imported or compiles."""

  def act(room):
    run = room.folder / "run"
    process = room.spawn(run)
    time.sleep(seconds)
    process.send_signal(number)
    before = launching.finish(process)
    return before if before.hung else _again(room, run, before)

  return act


for _seconds in (0.05, 0.5, 1.5, 3.0):
  for _name in ("SIGINT", "SIGTERM", "SIGKILL"):
    if _name == "SIGINT" and _seconds < 0.1:
      continue  # Python's own start answers it, before it reads any program
    _act = _early(getattr(signal, _name), _seconds)
    _group.add(f"{_name} after {_seconds} s", _act, _CALM)


@_group.fault("kill -9 of a sweep leaves no trainer", _CALM)
def _(room):
  page = room.folder / "page.py"
  lines = (launching.ROOT / "configs/digits.py").read_text()
  page.write_text(lines + '\n\ndef sweep():\n  yield "smoke"\n')
  folder = room.folder / "runs"
  words = [w for w in room.base.flags(epochs=2000) if "--config=" not in w]
  order = ("launch.sweep", f"--config={page}", f"--workdir={folder}", "--")
  process = launching.start(*order, *words)
  run = folder / "smoke"
  _until(process, lambda: soak.last_step(run) >= 3)
  process.kill()
  process.stdout.close()
  process.wait()
  time.sleep(5 * launching.PATIENCE)
  step = soak.last_step(run)
  time.sleep(2)
  left = [f"goes on to {soak.last_step(run)}"] * (soak.last_step(run) > step)
  _end(str(run))
  return launching.Outcome(0, "", left)


def _end(word):
  """Kill our own trainer whose command line names the run's folder."""
  for entry in os.listdir("/proc"):
    with contextlib.suppress(OSError):
      line = Path(f"/proc/{entry}/cmdline").read_text()
      if word in line and "launch.train" in line:
        os.kill(int(entry), signal.SIGKILL)
