"""Notes the signals that ask a run to stop."""

import signal


class StopSignals:
  """Notes a signal to stop, so that the step under way can finish.

  The signals are SIGTERM, SIGINT, the warnings of a batch system (SIGUSR1,
  SIGUSR2), and SIGHUP of a closed terminal, unless the caller ignores it, as
  nohup does. A second SIGINT interrupts at once.
  """

  SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP")

  def __init__(self):
    self.asked = False
    self._old = {}
    try:
      for name in self.SIGNALS:
        number = getattr(signal, name, None)  # Windows has two of them
        if number and signal.getsignal(number) != signal.SIG_IGN:
          self._old[number] = signal.signal(number, self._note)
    except ValueError:  # not in the main thread: the caller handles signals
      pass

  def _note(self, number, frame):
    if self.asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.asked = True

  def close(self) -> None:
    """Restore the former handlers of the signals."""
    for number, handler in self._old.items():
      signal.signal(number, handler)
