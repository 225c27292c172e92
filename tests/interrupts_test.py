"""A Ctrl-C ends a command, whatever Python does when it comes."""

import gc
import signal
import sys
import time

import pytest

from cvae_jax.host import interrupts


@pytest.fixture(autouse=True)
def interruptible(monkeypatch):
  """Answer SIGINT as a command does, though a shell may ignore it."""
  monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
  old = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, old)


class _Interrupted:
  """Receives a Ctrl-C in `__del__`, out of which nothing is raised."""

  def __del__(self):
    signal.raise_signal(signal.SIGINT)


def _interrupt_once(phase, info):
  gc.callbacks.remove(_interrupt_once)
  signal.raise_signal(signal.SIGINT)


def _collect():
  gc.callbacks.append(_interrupt_once)
  gc.collect()


@pytest.mark.parametrize("lose", [_Interrupted, _collect])
def test_a_lost_ctrl_c_comes_again(lose):
  interrupts.repeat_lost()
  lose()
  began = time.monotonic()
  with pytest.raises(KeyboardInterrupt):
    time.sleep(10)
  assert time.monotonic() - began < 5


def test_other_errors_are_still_shown(capsys):
  class Failing:
    def __del__(self):
      raise ValueError("shown")

  interrupts.repeat_lost()
  Failing()
  assert "ValueError: shown" in capsys.readouterr().err
