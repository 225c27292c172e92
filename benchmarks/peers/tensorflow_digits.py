"""Time a training step of the digits model in TensorFlow."""

import functools

import tensorflow_common as common
import timing
from tensorflow_common import tf

LATENT = 40
CONDITION = 11
SIDE = 64
GREY = 0.01
SHAPES = {
  "encoder_conv1": (3, 3, 1, 32),
  "encoder_conv2": (3, 3, 32, 64),
  "encoder_conv3": (3, 3, 64, 128),
  "encoder_dense": (7 * 7 * 128 + CONDITION, 256),
  "side": (784, SIDE),
  "mean": (256 + SIDE, LATENT),
  "logvar": (256 + SIDE, LATENT),
  "decoder_dense1": (LATENT + CONDITION, 320),
  "decoder_dense2": (320, 7 * 7 * 160),
  "decoder_conv1": (3, 3, 80, 160),
  "decoder_conv2": (3, 3, 40, 80),
  "decoder_conv3": (3, 3, 1, 40),
}


def convolve(x, layer, stride):
  """Apply a convolution and ReLU."""
  return tf.nn.relu(common.convolve(x, layer, stride))


def transpose_convolve(x, layer, stride):
  """Apply a transposed convolution and ReLU."""
  return tf.nn.relu(common.transpose_convolve(x, layer, stride))


def encode(layers, image, condition, drop):
  """Return mean and log-variance, both [batch, 40]."""
  x = drop(convolve(image, layers["encoder_conv1"], 2))
  x = drop(convolve(x, layers["encoder_conv2"], 2))
  x = convolve(x, layers["encoder_conv3"], 1)
  x = tf.concat([common.flatten(x), condition], 1)
  x = tf.nn.relu(common.dense(x, layers["encoder_dense"]))
  side = tf.nn.relu(common.dense(common.flatten(image), layers["side"]))
  x = tf.concat([x, side], 1)
  return common.dense(x, layers["mean"]), common.dense(x, layers["logvar"])


def decode(layers, latent, condition, drop):
  """Return images [batch, 28, 28, 1]."""
  x = tf.concat([latent, condition], 1)
  x = tf.nn.relu(common.dense(x, layers["decoder_dense1"]))
  x = tf.nn.relu(common.dense(x, layers["decoder_dense2"]))
  x = tf.reshape(x, (x.shape[0], 7, 7, 160))
  x = drop(transpose_convolve(x, layers["decoder_conv1"], 2))
  x = drop(transpose_convolve(x, layers["decoder_conv2"], 2))
  return transpose_convolve(x, layers["decoder_conv3"], 1)


def loss_of(layers, image, condition, drop, mixed):
  """Return the scalar loss of uint8 images [batch, 28, 28]."""
  target = tf.cast(image, tf.float32)[..., None] * (1 / 255)
  call = functools.partial(common.call, drop=drop, mixed=mixed)
  mean, logvar = call(encode, layers, target, condition)
  latent = common.sample(mean, logvar)
  value = call(decode, layers, latent, condition)
  error = 2 * tf.nn.l2_loss(value - target) / image.shape[0]
  grey = tf.reduce_sum(tf.nn.relu(value * (1 - value)))
  return error + common.kl(mean, logvar) + GREY * grey + common.penalty(layers)


def main():
  """Time the model in the chosen setting."""
  arguments = timing.parse_arguments(common.SETTINGS + common.MIXED)
  common.run(
    arguments,
    functools.partial(loss_of, mixed=arguments.setting in common.MIXED),
    SHAPES,
    timing.random_digits(),
    timing.DIGITS_PARAMETERS,
    rate=1e-3,
  )


if __name__ == "__main__":
  main()
