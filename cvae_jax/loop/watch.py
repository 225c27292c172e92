"""Decide by test metrics when to stop, and when to cut the learning rate.

These are Keras's two callbacks, counted on the host, by a metric as it is or
smoothed. The counters are part of a checkpoint, and the metrics are a function
of the state. So an evaluation that was lost by a kill is made and counted
again, with the same decision.
"""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.config import ConfigError

RULES = ("early_stop", "plateau")  # groups of config.loop(); "" metric: off
_GROWING = (  # the last words of figures of launch.evaluate, too
  "accuracy correlation elbo hit_rate iw_bound mean_average_precision psnr "
  "purity r_squared rank_correlation"
).split()
_FALLING = "bits_per_dim error frechet_vgg16 loss sliced".split()
# The mode of metrics whose meaning is known; of others only their system knows.
MODES = dict.fromkeys(_GROWING, "max") | dict.fromkeys(_FALLING, "min")


class Patience:
  """Counts the evaluations since a metric last improved by a minimum.

  The minimum is min_delta + relative · |best|. With `smoothing` s the metric is
  replaced by an exponential mean m, which begins at the first value:
  m ← s · m + (1 − s) · value.
  """

  def __init__(self, rule: ConfigDict, counters: Mapping | None = None):
    self.rule = rule
    found = counters or {"best": None, "step": None, "wait": 0}
    self.best: float | None = found["best"]
    self.step: int | None = found["step"]  # the step of the best value
    self.wait: int = found["wait"]
    self.mean: float | None = found.get("mean")  # the best value so far

  @property
  def spent(self) -> bool:
    """Tell whether the last `patience` evaluations brought no improvement."""
    return bool(self.rule.metric) and self.wait >= self.rule.patience

  def see(self, step: int, means: Mapping[str, float]) -> None:
    """Count the evaluation after `step` updates."""
    if not self.rule.metric:
      return
    value = means.get(self.rule.metric)
    if value is None:  # a types.Masked metric, of rows that nobody has
      raise ConfigError(
        f"{self.rule.metric}, by which training is watched, cannot be "
        "measured: no held-out row has a value of it; choose another metric "
        "and another --workdir"
      )
    if math.isfinite(value):  # else it would stay in the mean
      self.mean = value = self._smooth(value)
    if self._improves(value):
      self.best = value
      self.step = step
      self.wait = 0
    else:
      self.wait += 1

  def _smooth(self, value: float) -> float:
    if self.mean is None:
      return value
    return self.rule.smoothing * self.mean + (1 - self.rule.smoothing) * value

  def _improves(self, value: float) -> bool:
    if self.best is None or not math.isfinite(value):
      return math.isfinite(value)
    sign = 1.0 if self.rule.mode == "min" else -1.0
    least = self.rule.min_delta + self.rule.relative * abs(self.best)
    return sign * value < sign * self.best - least

  def to_json(self) -> dict[str, Any]:
    """Return the counters; the constructor takes them back."""
    return {
      "best": self.best,
      "step": self.step,
      "wait": self.wait,
      "mean": self.mean,
    }


class Watch:
  """Follows a run's evaluations by config.early_stop and config.plateau."""

  def __init__(self, config: ConfigDict, counters: Mapping | None = None):
    found = counters or {}
    self._stop, self._plateau = (
      Patience(config[name], found.get(name)) for name in RULES
    )
    # It multiplies every learning rate.
    self.factor: float = found.get("factor", 1.0)

  @property
  def stopped(self) -> bool:
    """Tell whether early stopping ended the run."""
    return self._stop.spent

  @property
  def best_step(self) -> int | None:
    """Return the step whose state was best; None without early stopping."""
    return self._stop.step

  def see(self, step: int, means: Mapping[str, float]) -> None:
    """Count the evaluation {metric: mean} after `step` updates."""
    self._stop.see(step, means)
    self._plateau.see(step, means)
    rule = self._plateau.rule
    if self._plateau.spent and self.factor > rule.floor:
      self.factor = max(self.factor * rule.factor, rule.floor)
      self._plateau.wait = 0

  def schedules(self) -> dict[str, float]:
    """Return {name: factor} for the loop to log; {} without a plateau."""
    on = self._plateau.rule.metric
    return {"schedule/learning_rate_factor": self.factor} if on else {}

  def to_json(self) -> dict[str, Any]:
    """Return the counters for a checkpoint."""
    return {
      "early_stop": self._stop.to_json(),
      "plateau": self._plateau.to_json(),
      "factor": self.factor,
    }
