"""Warn of latents that hold next to nothing of an image."""

from collections.abc import Mapping

from ml_collections import ConfigDict

LITTLE = 1.0  # nats, of all latents of an image together
YOUNG = 200  # steps; every page trains for more, except its smoke variant


def caution(means: Mapping[str, float]) -> str:
  """Say that the latents are hardly used; "" if they are used.

  The KL of q(z | x) from the prior bounds how much z tells of an image.

  Args:
    means: metrics of held-out rows; those of a system without a KL have none.
  """
  kl = means.get("kl")
  if kl is None or kl >= LITTLE:
    return ""
  return (
    f"the latents hold only {kl:.2g} nats of an image (metric kl), so "
    "reconstructions, and samples of one request, look alike"
  )


def remedy(config: ConfigDict) -> str:
  """Say which key of the run's config gives latents more to hold."""
  loss = config.get("loss", {})
  if "mse" in loss and loss.get("likelihood", "") in ("", "gaussian"):
    return "--config.loss.likelihood=sigma finds the weight of pixels by itself"
  return "give the reconstruction more weight, or the KL less"
