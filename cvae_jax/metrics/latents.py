"""How much of the latent space is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ACTIVE = 0.01  # variance of a latent's posterior mean (Burda et al. 2016)


def usage(mean: NDArray, logvar: NDArray) -> dict[str, Any]:
  """Count active latents and gives each one's KL.

  Args:
    mean: [N, Z] posterior means over a split.
    logvar: [N, Z] posterior log-variances.

  Returns:
    active: latents whose mean varies by more than 0.01 over the data; of: Z;
    kl: mean nats of each latent, [Z], largest first; None where posteriors
    are points, log-variance −∞.
  """
  mean, logvar = (np.asarray(x, np.float64) for x in (mean, logvar))
  kl = 0.5 * (mean**2 + (np.expm1(logvar) - logvar)).mean(axis=0)
  return {
    "active": int((mean.var(axis=0) > ACTIVE).sum()),
    "of": mean.shape[1],
    "kl": sorted((round(float(v), 4) for v in kl), reverse=True)
    if np.isfinite(kl).all()
    else None,
  }
