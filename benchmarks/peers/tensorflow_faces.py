"""Time a training step of the faces models 9 and 15 in TensorFlow."""

import functools
import math

import tensorflow_common as common
import timing
from tensorflow_common import tf

CONDITION = 5
MAPS = (15, 15, 120), (30, 30, 80), (60, 60, 60), (120, 120, 40)


def shapes_of(latents):
  """Return {name: shape of its kernel}."""
  code = latents + CONDITION
  joined = 192 + 3 * 64 + CONDITION
  shapes = {
    "encoder_conv0": (4, 4, 3, 32),
    "encoder_conv1": (4, 4, 32, 48),
    "encoder_conv2": (4, 4, 48, 64),
    "encoder_conv3": (4, 4, 64, 96),
    "encoder_dense": (15 * 15 * 96 + CONDITION, 192),
    "side": (120 * 120 * 3 + CONDITION, 64),
    "stream0": (60 * 60 * 32 + CONDITION, 64),
    "stream1": (30 * 30 * 48 + CONDITION, 64),
    "mean": (joined, latents),
    "logvar": (joined, latents),
    "decoder_dense0": (code, 256),
    "decoder_dense1": (256, math.prod(MAPS[0])),
    "decoder_conv0": (4, 4, 80, 120),
    "decoder_conv1": (4, 4, 60, 80),
    "decoder_conv2": (4, 4, 40, 60),
    "decoder_conv3": (4, 4, 3, 40),
  }
  for i, shape in enumerate(MAPS):
    shapes[f"shortcut{i}"] = (code, math.prod(shape))
  return shapes


def silu(x):
  """Apply SiLU; tf.nn.silu computes its sigmoid again for the gradient."""
  return x * tf.sigmoid(x)


def convolve(x, layer, stride):
  """Apply a convolution and SiLU."""
  return silu(common.convolve(x, layer, stride))


def transpose_convolve(x, layer, stride):
  """Apply a transposed convolution and SiLU."""
  return silu(common.transpose_convolve(x, layer, stride))


def dense(x, layer):
  """Apply a linear layer and SiLU."""
  return silu(common.dense(x, layer))


def encode(layers, image, condition, drop):
  """Return mean and log-variance, both [batch, latents]."""
  first = drop(convolve(image, layers["encoder_conv0"], 2))
  second = drop(convolve(first, layers["encoder_conv1"], 2))
  x = drop(convolve(second, layers["encoder_conv2"], 2))
  x = convolve(x, layers["encoder_conv3"], 1)
  paths = {
    "encoder_dense": x,
    "side": image,
    "stream0": first,
    "stream1": second,
  }
  joined = [
    dense(tf.concat([common.flatten(x), condition], 1), layers[name])
    for name, x in paths.items()
  ]
  x = tf.concat([*joined, condition], 1)
  heads = [common.dense(x, layers[name]) for name in ("mean", "logvar")]
  return tf.tanh(heads[0]), tf.tanh(heads[1])


def decode(layers, latent, condition, drop):
  """Return images [batch, 120, 120, 3]."""
  code = tf.concat([latent, condition], 1)

  def shortcut(i):
    x = dense(code, layers[f"shortcut{i}"])
    return tf.reshape(x, (-1, *MAPS[i]))

  x = dense(dense(code, layers["decoder_dense0"]), layers["decoder_dense1"])
  x = tf.reshape(x, (-1, *MAPS[0])) + shortcut(0)
  for i in range(3):
    x = transpose_convolve(x, layers[f"decoder_conv{i}"], 2)
    x = drop(x) + shortcut(i + 1)
  return transpose_convolve(x, layers["decoder_conv3"], 1)


def loss_of(layers, image, condition, drop, weight, mixed):
  """Return the scalar loss of uint8 images [batch, 120, 120, 3]."""
  call = functools.partial(common.call, drop=drop, mixed=mixed)
  target = tf.cast(image, tf.float32) * (1 / 255)
  mean, logvar = call(encode, layers, target, condition)
  latent = common.sample(mean, logvar)
  value = call(decode, layers, latent, condition)
  error = weight * 2 * tf.nn.l2_loss(value - target) / math.prod(target.shape)
  return error + common.kl(mean, logvar) + common.penalty(layers)


def main():
  """Time the chosen model in the chosen setting."""
  arguments = timing.parse_faces_arguments(common.SETTINGS + common.MIXED)
  faces = timing.FACES[arguments.model]
  common.run(
    arguments,
    functools.partial(
      loss_of,
      weight=faces.weight,
      mixed=arguments.setting in common.MIXED,
    ),
    shapes_of(faces.latents),
    timing.random_faces(),
    faces.parameters,
    rate=2e-4,
  )


if __name__ == "__main__":
  main()
