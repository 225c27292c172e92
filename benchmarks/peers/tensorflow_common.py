"""What the TensorFlow contenders share: layers, fused Adam and the run.

A step is one tf.function of plain tf.nn operations: the batch is gathered
inside it, and Adam is TensorFlow's own fused kernel, one call a variable.

A setting of bfloat16 is what Keras's mixed_bfloat16 does: layers compute in
bfloat16, variables, losses and Adam are float32.
"""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import timing

MIXED = ["bfloat16_graph", "bfloat16_graph_bits"]
SETTINGS = ["graph", "graph_bits", "xla"]
DROPOUT = 0.45
L2 = 1e-3
DECAY = 1e-6
BETA1 = 0.9
BETA2 = 0.999


def make_layers(shapes):
  """Return {name: (kernel, bias)}, Glorot-uniform and zero.

  Kernels of a "decoder_conv" are transposed: [height, width, out, in]. A
  "…_plain" has no bias, a "…_norm" is (scale, offset), one and zero.
  """
  seed = tf.keras.random.SeedGenerator(0)  # an int would repeat itself
  glorot = tf.keras.initializers.GlorotUniform(seed)
  layers = {}
  for name, shape in shapes.items():
    outputs = shape[2] if name.startswith("decoder_conv") else shape[-1]
    first = tf.ones(shape) if name.endswith("norm") else glorot(shape)
    layers[name] = (tf.Variable(first, name=name),)
    if not name.endswith("plain"):
      layers[name] += (tf.Variable(tf.zeros(outputs)),)
  return layers


def dense(x, layer):
  """Apply a linear layer."""
  kernel, bias = layer
  return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def convolve(x, layer, stride):
  """Apply a "same" convolution."""
  kernel, *bias = layer
  x = tf.nn.conv2d(x, kernel, stride, "SAME")
  return tf.nn.bias_add(x, *bias) if bias else x


def transpose_convolve(x, layer, stride):
  """Apply a "same" transposed convolution."""
  kernel, *bias = layer
  batch, height, width, _ = x.shape
  shape = (batch, height * stride, width * stride, kernel.shape[2])
  x = tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME")
  return tf.nn.bias_add(x, *bias) if bias else x


def drop(x):
  """Apply dropout with a fresh mask."""
  return tf.nn.dropout(x, DROPOUT)


@tf.custom_gradient
def drop_by_bits(x):
  """Apply dropout whose mask compares 16 random bits with the rate."""
  count = x.shape.num_elements() // 2
  words = tf.random.uniform((count,), -(2**31), 2**31 - 1, tf.int32)
  bits = tf.reshape(tf.bitcast(words, tf.int16), x.shape)
  keep = bits >= round((DROPOUT - 0.5) * 2**16)
  scale = 1 / (1 - DROPOUT)
  return tf.where(keep, x * scale, 0.0), lambda g: tf.where(
    keep, g * scale, 0.0
  )


def flatten(x):
  """Turn maps [B, H, W, C] into rows."""
  return tf.reshape(x, (x.shape[0], -1))


def sample(mean, logvar):
  """Draw latents by the reparameterisation."""
  return mean + tf.exp(logvar / 2) * tf.random.normal(mean.shape)


def kl(mean, logvar):
  """Return KL(q ‖ N(0, I)), averaged over the batch."""
  terms = 1 + logvar - mean * mean - tf.exp(logvar)
  return -0.5 * tf.reduce_sum(terms) / mean.shape[0]


def penalty(layers):
  """Return the L2 penalty of the convolution kernels, which alone have it."""
  kernels = [k for k, _ in layers.values() if len(k.shape) == 4]
  return L2 * 2 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])


class Adam:
  """Update variables by TensorFlow's fused Adam kernel."""

  def __init__(self, variables, rate):
    self.variables = variables
    self.rate = rate
    self.moments = [
      (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v)))
      for v in variables
    ]
    self.step = tf.Variable(0.0)

  def apply(self, gradients):
    """Take one step with the inverse-time decay."""
    rate = self.rate / (1 + DECAY * self.step)
    count = self.step.assign_add(1.0)
    powers = tf.pow(BETA1, count), tf.pow(BETA2, count)
    for variable, (m, v), gradient in zip(
      self.variables, self.moments, gradients, strict=True
    ):
      tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=rate,
        beta1=BETA1,
        beta2=BETA2,
        epsilon=1e-7,
        grad=gradient,
      )


def call(network, layers, *arrays, drop, mixed):
  """Call a network in bfloat16 if mixed; return its outputs in float32."""
  if not mixed:
    return network(layers, *arrays, drop)
  lower = functools.partial(tf.cast, dtype=tf.bfloat16)
  layers = {name: tuple(map(lower, layer)) for name, layer in layers.items()}
  found = network(layers, *map(lower, arrays), drop)
  return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), found)


def make_step(loss_of, layers, columns, arguments, rate):
  """Return a function that trains on a fresh random batch."""
  drops = drop_by_bits if arguments.setting.endswith("bits") else drop
  images, conditions = map(tf.constant, columns)
  variables = [v for layer in layers.values() for v in layer]
  adam = Adam(variables, rate)

  @tf.function(jit_compile=arguments.setting == "xla")
  def step():
    rows = tf.random.uniform((arguments.batch,), 0, len(columns[0]), tf.int32)
    image = tf.gather(images, rows)
    condition = tf.gather(conditions, rows)
    with tf.GradientTape() as tape:
      loss = loss_of(layers, image, condition, drops)
    adam.apply(tape.gradient(loss, variables))
    return loss

  return step


def run(arguments, loss_of, shapes, columns, parameters, rate):
  """Build the layers and time a step in the chosen setting."""
  tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
  tf.random.set_seed(0)
  layers = make_layers(shapes)
  count = sum(int(tf.size(v)) for layer in layers.values() for v in layer)
  assert count == parameters, count
  step = make_step(loss_of, layers, columns, arguments, rate)
  timing.report("TensorFlow", tf.__version__, count, step, arguments)
