"""Running means of training metrics, exact across a resume."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import jax

from cvae_jax.types import KNOWN, Metrics


class NonFinite(FloatingPointError):
  """Says which step and player became non-finite, and what was last finite."""

  def __init__(self, step: int, names: list[str], finite: Mapping[str, float]):
    self.step = step
    before = ", ".join(f"{k} {v:.6g}" for k, v in finite.items()) or "none"
    super().__init__(
      f"step {step}: {', '.join(names)} not finite; last finite metrics "
      f"(step {step - 1}): {before}. The state before step {step} is kept."
    )


class Meter:
  """Sums metrics on the host over windows and epochs, one step late.

  `push` fetches the metrics of the previous step while the device computes the
  next one. The sums are part of a checkpoint. So a resumed run writes the same
  means as an uninterrupted one, to the last bit.
  """

  def __init__(self, sums: Mapping[str, Mapping[str, Any]] | None = None):
    self.sums = {"window": _empty(), "epoch": _empty()} | dict(sums or {})
    self.last: dict[str, float] = {}
    # The lowest and the latest smoothed loss, by which `divergence` judges.
    self.sound: dict[str, float] = dict(self.sums.pop("sound", {}))
    self._pending: tuple[int, Metrics] | None = None

  @property
  def loss(self) -> float:
    """Return the first player's loss at the last step fetched."""
    losses = (v for k, v in self.last.items() if k.endswith("/loss"))
    return next(losses, math.nan)

  def push(self, step: int, metrics: Metrics) -> None:
    """Take {name: [K]} of the K updates from `step` on; add the previous ones.

    Raises:
      NonFinite: an earlier step's metrics were not finite.
    """
    pending = self._pending
    self._pending = (step, metrics)
    self._add(pending)

  def drain(self) -> None:
    """Wait for the last push and add it."""
    pending = self._pending
    self._pending = None
    self._add(pending)

  def take(self, name: str) -> dict[str, float]:
    """Return the means of "window" or "epoch" and start it anew.

    A player's `moves` is the share of the steps in which it moved. The means of
    its other metrics are over these steps, and absent if there are none. So are
    means of a metric that some rows lack over the rows that have it.
    """
    total, self.sums[name] = self.sums[name], _empty()
    count = total["count"]
    sums = total["sums"]
    means = {}
    for key, value in sums.items():
      if key.endswith(KNOWN):
        continue
      moves = f"{key.partition('/')[0]}/moves"
      over = count if key == moves else sums.get(moves, count)
      over = sums.get(key + KNOWN, over)
      if over:
        means[key] = value / over
    return means

  def to_json(self) -> dict[str, Any]:
    """Return the sums for a checkpoint, as a copy; drain first.

    A checkpoint is written in the background while this meter goes on.
    """
    sums = copy.deepcopy(self.sums)
    return {"sums": sums | ({"sound": dict(self.sound)} if self.sound else {})}

  def _follow(self, loss: float) -> None:
    """Note the first, the lowest and the latest loss."""
    if math.isfinite(loss):
      first = self.sound.get("first", loss)
      least = min(self.sound.get("least", loss), loss)
      self.sound = {"first": first, "least": least, "latest": loss}

  def _add(self, pending: tuple[int, Metrics] | None) -> None:
    if pending is None:
      return
    step, metrics = pending
    fetched = {k: v.tolist() for k, v in jax.device_get(metrics).items()}
    for i in range(len(next(iter(fetched.values())))):
      now = {name: values[i] for name, values in fetched.items()}
      bad = [name for name, value in now.items() if not math.isfinite(value)]
      if bad:
        raise NonFinite(step + i + 1, bad, self.last)
      self.last = now
      self._follow(self.loss)
      for total in self.sums.values():
        for name, value in now.items():
          # Older releases had means over the known rows, and no share of them.
          before = total["count"] if name.endswith(KNOWN) else 0.0
          total["sums"][name] = total["sums"].get(name, before) + value
        total["count"] += 1


def _empty() -> dict[str, Any]:
  return {"count": 0, "sums": {}}
