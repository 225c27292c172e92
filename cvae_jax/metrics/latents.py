"""How much of the latent space is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ACTIVE = 0.01  # variance of a latent's posterior mean (Burda et al. 2016)


def kl(mean: NDArray, logvar: NDArray) -> NDArray[np.float64]:
  """Return each latent's mean KL to N(0, 1), [Z], of posteriors [N, Z]."""
  mean, logvar = (np.asarray(x, np.float64) for x in (mean, logvar))
  return 0.5 * (mean**2 + (np.expm1(logvar) - logvar)).mean(axis=0)


def usage(
  mean: NDArray, logvar: NDArray, nats: NDArray | None = None
) -> dict[str, Any]:
  """Count active latents and give each one's KL.

  Args:
    mean: [N, Z] posterior means over a split.
    logvar: [N, Z] posterior log-variances.
    nats: [Z], the KL where it is not that of these Gaussians.

  Returns:
    active: latents whose mean varies by more than 0.01 over the data; of: Z;
    kl: mean nats of each latent, [Z], largest first; None where posteriors
    are points, log-variance −∞.
  """
  each = kl(mean, logvar) if nats is None else nats
  mean = np.asarray(mean, np.float64)
  return {
    "active": int((mean.var(axis=0) > ACTIVE).sum()),
    "of": mean.shape[1],
    # To six digits, so that many small ones add up.
    "kl": sorted((float(f"{v:.6g}") for v in each), reverse=True)
    if np.isfinite(each).all()
    else None,
  }
