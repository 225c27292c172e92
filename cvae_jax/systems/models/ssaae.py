"""The networks of the semi-supervised adversarial autoencoder."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import few_labels, gaussian, parts
from cvae_jax.nets.distortion import distort
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.types import Facts, PyTree


class Model(NamedTuple):
  """The four networks, their priors and the weight of the loss."""

  encoder: MLP  # q(y | x) and the code z of x
  decoder: MLP
  class_discriminator: MLP  # tells draws of p(y) from q(y | x)
  style_discriminator: MLP  # tells draws of p(z) from z
  shape: tuple[int, ...]  # (H, W, C)
  classes: int
  latents: int
  noise: float  # standard deviation of noise on the encoder's input
  distortion: float  # spread of the linear maps of its images
  shift: float  # pixels by which they are moved at most
  weight: float  # w of the squared error, which is summed over the image
  agreement: float  # × mean KL of a digit's classes and its distorted one's

  def init(self, key: Array) -> PyTree:
    """Draw the branches."""
    pixels, y, z = (
      jnp.zeros((1, size))
      for size in (math.prod(self.shape), self.classes, self.latents)
    )
    nets = {name: getattr(self, name) for name in BRANCHES}
    params, _ = parts.init_branches(
      nets,
      key,
      encoder=pixels,
      decoder=(z, y),
      class_discriminator=y,
      style_discriminator=z,
    )
    return params

  def encode(self, params: PyTree, image: Array, key=None):
    """Return (logits of q(y | x) [B, K], z [B, Z]) of images.

    With a key they are distorted and noise is added, as in training.
    """
    x = flat(image)
    if key is not None:
      key, noise, form = jax.random.split(key, 3)
      images = x.reshape(-1, *self.shape)
      x = flat(distort(form, images, self.distortion, self.shift))
      x = x + self.noise * jax.random.normal(noise, x.shape)
    found = self.encoder.apply({"params": params["encoder"]}, x, None, key)
    return found["logits"], found["code"]

  def decode(self, params: PyTree, z: Array, y: Array) -> Array:
    """Return pixels [B, D] in [0, 1] of styles and classes."""
    variables = {"params": params["decoder"]}
    return jax.nn.sigmoid(self.decoder.apply(variables, z, y)["logits"])

  def discriminate(self, params: PyTree, y: Array, z: Array):
    """Return the logits [B] that y and that z are draws of their priors."""
    return tuple(
      getattr(self, name).apply({"params": params[name]}, x)["logit"][:, 0]
      for name, x in zip(DISCRIMINATORS, (y, z), strict=True)
    )

  def draw(self, key: Array, count: int) -> tuple[Array, Array]:
    """Draw one-hot classes from Cat(1/K) and styles from N(0, I)."""
    label, style = jax.random.split(key)
    y = jax.random.randint(label, (count,), 0, self.classes)
    z = gaussian.draw(style, count, self.latents)
    return jax.nn.one_hot(y, self.classes), z


DISCRIMINATORS = ("class_discriminator", "style_discriminator")
BRANCHES = ("encoder", "decoder", *DISCRIMINATORS)


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a condition is not one class.
  """
  nets = config.model
  classes = few_labels.count_classes(facts)
  heads = {"logits": classes, "code": nets.latents}
  output = {"logits": math.prod(facts.image_shape)}
  return Model(
    encoder=MLP(**nets.encoder, heads=heads),
    decoder=MLP(**nets.decoder, heads=output),
    **{name: MLP(**nets[name], heads={"logit": 1}) for name in DISCRIMINATORS},
    shape=facts.image_shape,
    classes=classes,
    latents=nets.latents,
    noise=nets.noise_level,
    distortion=nets.distortion,
    shift=nets.shift,
    weight=config.loss.mse,
    agreement=config.loss.get("agreement", 0.0),
  )
