"""The conditional encoder and decoder of digits and faces.

One pair of modules: the digits' network and all 15 rungs of the face ladder
are settings of their fields.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import pick
from cvae_jax.nets.layers import ACTIVATIONS, Conv, Dense, dropout


def _flat(x: Array) -> Array:
  return x.reshape(x.shape[0], -1)


def _join(x: Array, condition: Array | None) -> Array:
  """Flatten x [B, …] and append the condition, if there is one."""
  return (
    _flat(x)
    if condition is None
    else jnp.concatenate([_flat(x), condition], axis=-1)
  )


def _layers(*settings: Sequence) -> zip:
  """Pair features, strides and dropout, which have an entry for each layer.

  Raises:
    ValueError: they differ in length.
  """
  if len(set(map(len, settings))) > 1:
    found = ", ".join(str(tuple(each)) for each in settings)
    raise ValueError(
      f"features, strides and dropout have one entry a layer; found {found}"
    )
  return zip(*settings, strict=True)


def _keys(key: Array | None, count: int) -> list[Array | None]:
  if key is None:
    return [None] * count
  return [jax.random.fold_in(key, i) for i in range(count)]


class Encoder(nn.Module):
  """q(z | image, condition): convolutions beside a dense path of raw pixels.

  The convolutions do not see the condition, which joins after them. Streams
  are dense paths from the maps of the first convolutions, after their dropout.
  """

  features: Sequence[int]
  strides: Sequence[int]
  dropout: Sequence[float]  # after each convolution
  dense: int
  side: int  # width of the raw path
  latents: int
  kernel: int = 3
  activation: str = "relu"
  side_condition: bool = False  # the condition joins the raw path too
  streams: Sequence[int] = ()  # widths; each sees the condition
  head_condition: bool = False  # the condition joins before the heads
  head_activation: str = "linear"  # tanh bounds mean and log-variance by ±1

  @nn.compact
  def __call__(
    self, image: Array, condition: Array, key: Array | None = None
  ) -> Gaussian:
    """Map [B, H, W, C] and [B, A] to a Gaussian over [B, Z].

    Without a key dropout is off.
    """
    act = pick(ACTIVATIONS, self.activation, "activation")
    head = pick(ACTIVATIONS, self.head_activation, "head_activation")
    x = image
    maps = []
    layers = _layers(self.features, self.strides, self.dropout)
    keys = _keys(key, len(self.features))
    for i, (features, stride, rate) in enumerate(layers):
      conv = Conv(features, self.kernel, stride, name=f"conv_{i}")
      x = dropout(keys[i], act(conv(x)), rate)
      maps.append(x)
    if len(self.streams) > len(maps):
      raise ValueError(
        f"streams leave {len(maps)} convolutions; found {self.streams}"
      )
    paths = [("dense", self.dense, x, True)]
    paths += [("side", self.side, image, self.side_condition)]
    paths += [
      (f"stream_{i}", width, maps[i], True)
      for i, width in enumerate(self.streams)
    ]
    joined = [
      act(Dense(width, name=name)(_join(source, condition if sees else None)))
      for name, width, source, sees in paths
    ]
    if self.head_condition:
      joined.append(condition)
    x = jnp.concatenate(joined, axis=-1)
    return Gaussian(
      head(Dense(self.latents, name="mean")(x)),
      head(Dense(self.latents, name="logvar")(x)),
    )


class Decoder(nn.Module):
  """p(image | z, condition): two dense layers, then transposed convolutions.

  The last activation is the same as the others, as in the source. With ReLU
  the output is ≥ 0 but not bounded by 1. `last` names another activation. A
  shortcut is a dense map of the latents that is added to the input of a
  transposed convolution.
  """

  dense: int
  map: Sequence[int]  # (H, W, C) of the second dense layer's output
  features: Sequence[int]
  strides: Sequence[int]
  dropout: Sequence[float]  # after each transposed convolution
  kernel: int = 3
  activation: str = "relu"
  shortcuts: str = ""  # their input, "z" or "z+condition"; "" for none
  last: str = ""  # activation of the output; "" for that of all layers

  @nn.compact
  def __call__(
    self, z: Array, condition: Array, key: Array | None = None
  ) -> Array:
    """Map [B, Z] and [B, A] to images [B, H, W, C]."""
    act = pick(ACTIVATIONS, self.activation, "activation")
    if len(self.map) != 3:
      raise ValueError(
        "expected model.decoder.map=(height, width, channels); found "
        f"{tuple(self.map)}"
      )
    height, width, channels = self.map
    code = jnp.concatenate([z, condition], axis=-1)
    sources = {"": None, "z": z, "z+condition": code}
    source = pick(sources, self.shortcuts, "shortcuts")
    x = act(Dense(self.dense, name="dense_0")(code))
    x = act(Dense(height * width * channels, name="dense_1")(x))
    x = x.reshape(-1, height, width, channels)
    layers = _layers(self.features, self.strides, self.dropout)
    keys = _keys(key, len(self.features))
    last = pick(ACTIVATIONS, self.last or self.activation, "last")
    for i, (features, stride, rate) in enumerate(layers):
      if source is not None:
        short = Dense(math.prod(x.shape[1:]), name=f"shortcut_{i}")(source)
        x = x + act(short).reshape(x.shape)
      conv = Conv(
        features, self.kernel, stride, transposed=True, name=f"conv_{i}"
      )
      ends = i == len(self.features) - 1
      x = dropout(keys[i], (last if ends else act)(conv(x)), rate)
    return x
