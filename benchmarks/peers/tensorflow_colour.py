"""Time a training step of the colouring model 2 in TensorFlow.

The pyramid comes ready, a uint8 [4, 14, 14] a cell: nothing is cut here.
"""

import itertools

import tensorflow_common as common
import timing
from tensorflow_common import tf

LATENT = 120
WEIGHT = 2.5
FEATURES = (1, 16, 32, 32, 48, 48)
SHAPES = {
  "encoder_hidden": (4 * 32 + 2, 64),
  "mean": (64, LATENT),
  "logvar": (64, LATENT),
  "decoder_hidden": (4 * 32 + LATENT + 2, 96),
  "colour": (96, 2),
}
for side in ("encoder", "decoder"):
  for level in range(4):
    for i, (a, b) in enumerate(itertools.pairwise(FEATURES)):
      SHAPES[f"{side}_{level}_conv{i}"] = (3, 3, a, b)
    SHAPES[f"{side}_{level}_dense"] = (4 * 4 * 48 + 14 * 14, 96)
    SHAPES[f"{side}_{level}_code"] = (96, 32)


def look(layers, side, levels, drop):
  """Return what each of a side's four branches says of its level."""
  return [
    _branch(layers, f"{side}_{level}", levels[:, level, ..., None], drop)
    for level in range(4)
  ]


def _branch(layers, name, level, drop):
  x = level
  for i in range(len(FEATURES) - 1):
    kernel, bias = layers[f"{name}_conv{i}"]
    x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias)
    x = drop(tf.nn.silu(x))
  x = tf.concat([common.flatten(x), common.flatten(level)], 1)
  x = drop(tf.nn.silu(common.dense(x, layers[f"{name}_dense"])))
  return tf.nn.silu(common.dense(x, layers[f"{name}_code"]))


def encode(layers, levels, place, drop):
  """Return mean and log-variance, both [batch, 120]."""
  x = tf.concat([*look(layers, "encoder", levels, drop), place], 1)
  x = tf.nn.silu(common.dense(x, layers["encoder_hidden"]))
  return common.dense(x, layers["mean"]), common.dense(x, layers["logvar"])


def decode(layers, levels, latent, place, drop):
  """Return colours [batch, 2]."""
  x = tf.concat([*look(layers, "decoder", levels, drop), latent, place], 1)
  x = drop(tf.nn.silu(common.dense(x, layers["decoder_hidden"])))
  return tf.tanh(common.dense(x, layers["colour"]))


def loss_of(layers, levels, columns, drop):
  """Return the scalar loss of uint8 pyramids [batch, 4, 14, 14]."""
  levels = tf.cast(levels, tf.float32) * (1 / 255)
  place = columns[:, :2]
  colour = columns[:, 2:]
  mean, logvar = encode(layers, levels, place, drop)
  output = decode(layers, levels, common.sample(mean, logvar), place, drop)
  error = WEIGHT * tf.reduce_mean(tf.square(output - colour))
  radii = [tf.reduce_sum(tf.square(v), 1) for v in (colour, output)]
  saturation = tf.reduce_mean(tf.square(radii[0] - radii[1]))
  penalty = common.penalty(layers)
  return error + common.kl(mean, logvar) + saturation + penalty


if __name__ == "__main__":
  common.run(
    timing.parse_arguments(common.SETTINGS),
    loss_of,
    SHAPES,
    timing.random_cells(),
    timing.COLOUR_PARAMETERS,
    rate=1e-3,
  )
