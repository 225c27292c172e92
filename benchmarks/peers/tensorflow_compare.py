"""Time a training step of the 64×64 VAE of configs/compare.py in TensorFlow."""

import functools
import itertools

import tensorflow_common as common
import timing
from tensorflow_common import tf

SETTINGS = ["graph", "xla"]
WIDTHS = (64, 128, 256, 512)
LATENTS = 128
SLOPE = 0.2
FLAT = 4 * 4 * 512


def shapes():
  """Return {name: shape of its kernel}, see common.make_layers."""
  found = {"encoder_conv0": (4, 4, 3, WIDTHS[0])}
  for i, (before, after) in enumerate(itertools.pairwise(WIDTHS), start=1):
    found[f"encoder_conv{i}_plain"] = (4, 4, before, after)
    found[f"encoder_conv{i}_norm"] = (after,)
  found |= {
    "mean": (FLAT, LATENTS),
    "logvar": (FLAT, LATENTS),
    "decoder_dense": (LATENTS, FLAT),
    "decoder_dense_norm": (WIDTHS[-1],),
  }
  for i, (before, after) in enumerate(itertools.pairwise(reversed(WIDTHS))):
    found[f"decoder_conv{i}_plain"] = (4, 4, after, before)
    found[f"upwards{i}_norm"] = (after,)
  return found | {"decoder_conv3": (4, 4, 3, WIDTHS[0])}


def normalise(x, name, layers, statistics):
  """Normalise by the batch, which moves the running statistics."""
  mean, variance = statistics[name]
  x, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
    x=x,
    scale=layers[name][0],
    offset=layers[name][1],
    mean=mean,
    variance=variance,
    epsilon=1e-5,
    exponential_avg_factor=0.1,
    is_training=True,
  )
  mean.assign(new_mean)
  variance.assign(new_variance)
  return x


def loss_of(layers, image, condition, drop, statistics):
  """Return the scalar loss of uint8 images [batch, 64, 64, 3]."""
  norm = functools.partial(normalise, layers=layers, statistics=statistics)
  target = tf.cast(image, tf.float32) * (1 / 255)
  x = common.convolve(target, layers["encoder_conv0"], 2)
  for i in range(1, len(WIDTHS)):
    x = tf.nn.leaky_relu(x, SLOPE)
    x = common.convolve(x, layers[f"encoder_conv{i}_plain"], 2)
    x = norm(x, f"encoder_conv{i}_norm")
  x = common.flatten(tf.nn.leaky_relu(x, SLOPE))
  mean, logvar = (common.dense(x, layers[name]) for name in ("mean", "logvar"))
  x = common.dense(common.sample(mean, logvar), layers["decoder_dense"])
  x = tf.nn.relu(norm(tf.reshape(x, (-1, 4, 4, 512)), "decoder_dense_norm"))
  for i in range(len(WIDTHS) - 1):
    x = common.transpose_convolve(x, layers[f"decoder_conv{i}_plain"], 2)
    x = tf.nn.relu(norm(x, f"upwards{i}_norm"))
  logits = common.transpose_convolve(x, layers["decoder_conv3"], 2)
  nats = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
  return tf.reduce_sum(nats) / image.shape[0] + common.kl(mean, logvar)


def main():
  """Time the VAE in the chosen setting."""
  arguments = timing.parse_compare_arguments(SETTINGS)
  # As common.run does, which is too late once there is a variable.
  tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
  statistics = {
    name: (tf.Variable(tf.zeros(shape)), tf.Variable(tf.ones(shape)))
    for name, shape in shapes().items()
    if name.endswith("norm")
  }
  common.run(
    arguments,
    functools.partial(loss_of, statistics=statistics),
    shapes(),
    timing.random_compare(),
    timing.COMPARE_PARAMETERS,
    rate=2e-4,
  )


if __name__ == "__main__":
  main()
