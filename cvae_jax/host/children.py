"""Child processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PDEATHSIG = 1  # <linux/prctl.h>: PR_SET_PDEATHSIG


def end_with_parent() -> Callable[[], None] | None:
  """Return a function for a child to call, so that it ends with this process.

  If this process dies, Linux sends the child SIGTERM, and a training saves and
  ends. Otherwise the training of a killed sweep would go on, while a second
  sweep could begin in the same folder.
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
