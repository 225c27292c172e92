"""Child processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PDEATHSIG = 1  # <linux/prctl.h>: PR_SET_PDEATHSIG


def end_with_parent() -> Callable[[], None] | None:
  """Return what a child calls so that it stops when this process is gone.

  Linux sends it SIGTERM then, upon which a training saves. Without it a sweep
  that was killed leaves a training behind, and the sweep's own folder free.
  """
  if not sys.platform.startswith("linux"):
    return None
  prctl = ctypes.CDLL(None).prctl  # looked up before the fork
  parent = os.getpid()

  def ask() -> None:
    prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone already
      os.kill(os.getpid(), signal.SIGTERM)

  return ask
