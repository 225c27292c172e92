"""Translate the VAE loss of another library into nats and a weight β."""

from typing import NamedTuple

from cvae_jax.method.names import check

KINDS = ("mse", "bce")
REDUCTIONS = ("sum", "mean")


class Convention(NamedTuple):
  """a · reconstruction + b · KL, each a sum or a mean over its entries."""

  kind: str = "mse"
  reduce: str = "mean"  # over an image's values
  weight: float = 1.0
  kl_reduce: str = "sum"  # over latents
  kl_weight: float = 1.0


class Meaning(NamedTuple):
  """The loss divided by its KL's weight: mse · SSE + KL, or BCE / β + KL."""

  beta: float  # × KL beside ½ · SSE, or beside BCE, both summed
  mse: float | None  # loss.mse of a Gaussian likelihood with loss.beta 1
  variance: float | None  # of that Gaussian


def translate(loss: Convention, values: int, latents: int) -> Meaning:
  """Return the weights of a loss in nats, from the sizes of an image and of z.

  Args:
    loss: as a library writes it. A mean over the batch is taken of both
      terms; if only one is averaged over B examples, divide its weight by B.
    values: of an image, H · W · C.
    latents: Z.

  Raises:
    ValueError: a name is unknown, or a number is not above 0.
  """
  check(KINDS, loss.kind, "the reconstruction")
  for reduction in (loss.reduce, loss.kl_reduce):
    check(REDUCTIONS, reduction, "a reduction")
  if min(loss.weight, loss.kl_weight, values, latents) <= 0:
    raise ValueError(
      f"weights and sizes are above 0; found {loss.weight}, {loss.kl_weight}, "
      f"{values} values and {latents} latents"
    )
  first = loss.weight / (values if loss.reduce == "mean" else 1)
  second = loss.kl_weight / (latents if loss.kl_reduce == "mean" else 1)
  if loss.kind == "bce":
    return Meaning(second / first, None, None)
  mse = first / second
  return Meaning(0.5 / mse, mse, 0.5 / mse)


def lines(loss: Convention, values: int, latents: int) -> list[str]:
  """Describe a loss in nats, in lines."""
  found = translate(loss, values, latents)
  said = [
    f"{loss.weight:g} × {loss.kind.upper()} ({loss.reduce} of {values:,} "
    f"values) + {loss.kl_weight:g} × KL ({loss.kl_reduce} of {latents} latents)"
  ]
  if found.mse is None:
    said.append(
      f"= −ELBO of Bernoulli values with β = {found.beta:g}: "
      f"--config.loss.likelihood=bernoulli --config.loss.beta={found.beta:g}"
    )
    return said
  said.append(
    f"= −ELBO in nats, up to a constant and a factor, of p(x|z) = N(x̂, "
    f"{found.variance:g}); relative to ½·SSE + β·KL, β = {found.beta:g}: "
    f"--config.loss.likelihood=gaussian --config.loss.mse={found.mse:g}"
  )
  if found.variance > 1:
    said.append(
      f"a standard deviation of {found.variance**0.5:.3g} is wider than "
      "[0, 1]: expect latents that hold nothing; loss.likelihood=sigma has no "
      "weight to choose"
    )
  return said
