"""Several processes in one folder."""

import contextlib
import signal
import time

from benchmarks import soak_resume as soak
from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group, Outcome
from benchmarks.faults.judges import nothing, works
from benchmarks.faults.kill import _until

_group = Group("concurrency")
faults = _group.faults
_CALM = works(nothing, LOSS)
_LONG = {"epochs": 400, "log_every": 1, "checkpoint_every": 50}
_NAMES = ("process", "another", "in use", "locked")


def _holding(room, second, number=signal.SIGTERM, **changes):
  """Train A; let `second(run)` act beside it; stop A; check A's rows.

  The value lists what is wrong: rows of A lost, or B let in unsaid.
  """
  run = room.folder / "run"
  first = room.spawn(run, **(_LONG | changes))
  _until(first, lambda: soak.last_step(run) >= 5)
  try:
    done = second(run)
  finally:
    with contextlib.suppress(ProcessLookupError):
      first.send_signal(number)
    ended = launching.finish(first)
  if ended.hung or done.hung:
    return Outcome(-1, ended.text + done.text, hung=True)
  wrong = []
  if ended.code not in (75, -9):
    wrong.append(f"A ended with {ended.code}: {ended.text[-200:]}")
  saved = max(soak.list_saved_steps(run), default=0)
  rows = [r["step"] for r in soak.read_metrics(run) if r["split"] == "train"]
  lost = sorted(set(range(1, saved + 1)) - set(rows))
  wrong += [f"rows of steps {lost[:5]} lost"] * bool(lost)
  wrong += ["a row twice"] * (len(rows) > len(set(rows)))
  return Outcome(0, done.text, wrong + (done.value or []))


def _second(room, number=None, **changes):
  """Train B in A's folder: it must be refused by a line that says so."""

  def act(run):
    process = room.spawn(run, **(_LONG | changes))
    if number:
      time.sleep(5)
      with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    done = launching.finish(process, 45)
    clear = any(name in done.text for name in _NAMES)
    went_on = done.code in (0, 75, -9)  # or was killed before it could say
    done.value = ["B was let in"] * (went_on and not number)
    done.value += ["B's error is unclear"] * (not went_on and not clear)
    return done

  return act


@_group.fault("a second training in one folder", _CALM, limit=180)
def _(room):
  return _holding(room, _second(room))


@_group.fault("a second training, killed after 5 s", _CALM, limit=180)
def _(room):
  return _holding(room, _second(room, signal.SIGKILL))


@_group.fault("a second training of another config", _CALM, limit=180)
def _(room):
  return _holding(room, _second(room, seed=9))


@_group.fault("two trainings, each step saved", _CALM, limit=180)
def _(room):
  return _holding(room, _second(room, checkpoint_every=1), checkpoint_every=1)


@_group.fault("a second training after the first was killed", _CALM, limit=180)
def _(room):
  run = room.folder / "run"
  first = room.spawn(run, log_every=1, epochs=400)
  _until(first, lambda: soak.last_step(run) >= 9)
  first.kill()
  launching.finish(first)
  done = room.train(run, log_every=1)
  if done.code == 0:
    rows = [r["step"] for r in soak.read_metrics(run) if r["split"] == "train"]
    done.value = [] if rows == list(range(1, 25)) else [f"rows {rows}"]
  return done


def _reading(read, times):
  """Read a run again and again while it is trained and each step saved."""

  def act(room):
    def beside(run):
      _until(_Alive(), lambda: len(soak.list_saved_steps(run)) > 0)
      texts = []
      for _ in range(times):
        done = read(room, run)
        if done.code:
          texts.append(done.text)
      wrong = [f"{len(texts)} of {times} failed: {t[-150:]}" for t in texts[:1]]
      return Outcome(0, "".join(texts), wrong)

    return _holding(room, beside, checkpoint_every=1)

  return act


class _Alive:
  """Stands for a process that is not waited for."""

  def poll(self):
    """Return None: it runs."""


_group.add(
  "loaded while it is trained",
  _reading(lambda room, run: room.load(run), 25),
  _CALM,
  limit=180,
)
_group.add(
  "its metrics read while it is trained",
  _reading(lambda room, run: room.call(lambda: soak.read_metrics(run)), 200),
  _CALM,
  limit=180,
)
_group.add(
  "evaluated while it is trained",
  _reading(
    lambda room, run: room.command(
      "launch.evaluate", f"--workdir={run}", "--samples=0", "--per_class=2"
    ),
    2,
  ),
  _CALM,
  limit=180,
)


@_group.fault("two sweeps at once", _CALM, limit=180)
def _(room):
  page = room.folder / "page.py"
  lines = (launching.ROOT / "configs/digits.py").read_text()
  page.write_text(lines + '\n\ndef sweep():\n  yield "smoke"\n')
  words = [w for w in room.base.flags(epochs=2) if "--config=" not in w]
  order = (
    f"--config={page}",
    f"--workdir={room.folder / 'runs'}",
    "--",
    *words,
  )
  both = [launching.start("launch.sweep", *order) for _ in range(2)]
  ends = [launching.finish(process) for process in both]
  text = "\n".join(end.text for end in ends)
  if any(end.hung for end in ends):
    return Outcome(-1, text, hung=True)
  wrong = room.differences(room.folder / "runs" / "smoke")
  clear = all(
    end.code == 0 or any(name in end.text for name in _NAMES) for end in ends
  )
  return Outcome(0, text, wrong + ["an unclear error"] * (not clear))


@_group.fault("two prepare_photos into one folder", _CALM)
def _(room):
  import subprocess
  import sys

  from cvae_jax.data.files import prepared

  out = room.folder / "out"
  order = [sys.executable, "data/prepare_photos.py", f"--out={out}"]
  order += [f"--images={room.base.photos()}", "--size=16"]
  pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
  both = [subprocess.Popen(order, cwd=launching.ROOT, **pipe) for _ in range(2)]
  ends = [launching.finish(process) for process in both]
  text = "\n".join(end.text for end in ends)
  try:
    wrong = [] if len(prepared.read(out, 16).images) == 6 else ["not six"]
  except ValueError as error:
    wrong = [str(error)]
  return Outcome(0, text, wrong)


@_group.fault("a lock's file left behind", _CALM)
def _(room):
  run = room.copy()
  (run / ".lock").write_text("99999999 somewhere training")
  return room.resume(run)
