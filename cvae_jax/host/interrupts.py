"""Repeats a Ctrl-C that Python could not raise."""

import _thread
import signal
import sys
import threading

_DELAY = 0.05  # seconds, until the code that hides an error has returned


def repeat_lost() -> None:
  """Send Ctrl-C again wherever Python ignores its KeyboardInterrupt.

  Python raises KeyboardInterrupt in the code that runs when the signal comes.
  Nothing can be raised out of a callback of the garbage collector, such as
  jax's, or out of a `__del__`. There Python calls sys.unraisablehook, which
  only prints the error: the Ctrl-C would be lost.

  Source: docs.python.org/3/library/sys.html#sys.unraisablehook.
  """
  report = sys.unraisablehook

  def hook(lost):
    if lost.exc_type is KeyboardInterrupt:
      timer = threading.Timer(_DELAY, _interrupt)
      timer.daemon = True
      timer.start()
    else:
      report(lost)

  sys.unraisablehook = hook


def _interrupt() -> None:
  """Interrupt the main thread, also where it waits for something."""
  if hasattr(signal, "pthread_kill"):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
  else:  # Windows
    _thread.interrupt_main()
