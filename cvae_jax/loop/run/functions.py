"""The functions of a run that only some systems have."""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.host import arguments
from cvae_jax.host.arguments import RunError
from cvae_jax.loop.run import likelihood
from cvae_jax.loop.run.restored import Request
from cvae_jax.loop.run.views import Views
from cvae_jax.method import gaussian
from cvae_jax.types import PyTree


class Functions(Views):
  """What a run gives besides images: likelihoods, classes, regions."""

  def outputs(self, z: ArrayLike, condition: ArrayLike) -> PyTree:
    """Return the parameters of p(x | z, condition), which the `nats` take.

    Args:
      z: latents [B, Z].
      condition: vectors [B, A].

    Raises:
      RunError: the system decodes nothing, or shapes do not fit.
    """
    if self.system.outputs is None:
      return self.decode(z, condition)
    z = self._check_vectors(z, "z", "Z", self.system.latents)
    z, condition = arguments.rows(z=z, condition=self._condition(condition))
    return self._apply("outputs", z, condition)

  def kl(self, q: gaussian.Gaussian, z: ArrayLike) -> NDArray:
    """Return KL(q ‖ prior) in nats, [B].

    Args:
      q: posteriors over [B, Z], as `encode` returns them.
      z: draws of q [B, Z], which serve for an estimate where the prior is
        learned, and for nothing else.
    """
    if self.system.log_prior is None:
      return np.asarray(gaussian.kl_to_prior(q)).sum(axis=-1)
    z = self._check_vectors(z, "z", "Z", self.system.latents)
    return np.asarray(gaussian.log_density(z, q)) - self._apply("log_prior", z)

  @arguments.refuse_ambiguous
  def log_likelihood(
    self,
    images: ArrayLike,
    condition: Request = None,
    samples: int = 50,
    seed: int = 0,
    **named: Any,
  ) -> NDArray[np.float32]:
    """Return how likely each image is under its condition, in nats, [B].

    It is a lower bound of log p(image | condition), weighted by importance
    (Burda et al. 2016, "Importance Weighted Autoencoders"). Among images of one
    run, those that fit the model badly have the lowest.

    Args:
      images: [B, H, W, C], uint8 or floats in [0, 1].
      condition: what the images show, as in `encode`.
      samples: latents that are drawn for each image; more raise the bound.
      seed: of these draws.
      named: attributes and their values, instead: size=0.3.

    Raises:
      RunError: the system has no likelihood, or the images or the condition do
        not fit the run.
      DataError: an attribute is unknown or missing.
    """
    images, condition = arguments.rows(
      images=self._images(images),
      condition=self.encode_condition(condition, **named),
    )
    return likelihood.bound(self, images, condition, samples, seed)

  def regions(self, count: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Draw latents [count, Z] and the classes [count] whose places they are.

    Args:
      count: how many.
      seed: of the draws.

    Raises:
      RunError: the system's prior has no such places.
    """
    if self.system.regions is None:
      raise RunError(f"{self.folder}: its prior gives no class a place")
    z, label = self.system.regions(jax.random.key(seed), count)
    return np.asarray(z), np.asarray(label)

  def classify(self, images: ArrayLike) -> NDArray:
    """Return class probabilities [B, K] of images [B, H, W, C].

    Raises:
      RunError: the system has no classifier, or the images do not fit.
    """
    return np.asarray(
      jax.nn.softmax(self._apply("classify", self._images(images)))
    )

  def predict(
    self, images: ArrayLike, given: ArrayLike | None = None
  ) -> NDArray:
    """Return class probabilities or a value in [0, 1], [B, K], of images.

    Args:
      images: [B, H, W, C], uint8 or floats in [0, 1].
      given: [B, G], the attributes that config.columns.given names.

    Raises:
      RunError: the system cannot, or `given` has another size.
    """
    images = self._images(images)
    given = np.zeros((len(images), 0)) if given is None else np.asarray(given)
    wanted = (len(images), len(self.config.get("columns", {}).get("given", ())))
    if self.system.predict and given.shape != wanted:
      raise RunError(
        f"{self.folder} reads images beside given attributes of shape "
        f"{wanted}; found {given.shape}"
      )
    return np.asarray(
      self._apply("predict", images, arguments.floats(given, "given"))
    )
