"""Time a training step of the digits model in TensorFlow.

The step is one tf.function of plain tf.nn operations: the batch is gathered
inside it, and Adam is TensorFlow's own fused kernel, one call a variable.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import timing

SETTINGS = ["graph", "xla"]
LATENT, CONDITION, SIDE = 40, 11, 64
DROPOUT, GREY, L2, DECAY = 0.45, 0.01, 1e-3, 1e-6
BETA1, BETA2 = 0.9, 0.999
# Transposed kernels are [height, width, out, in].
KERNELS = {
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


def make_variables():
  """Return {name: (kernel, bias)}, Glorot-uniform and zero."""
  glorot = tf.keras.initializers.GlorotUniform(seed=0)
  variables = {}
  for name, shape in KERNELS.items():
    outputs = shape[2] if name.startswith("decoder_conv") else shape[-1]
    kernel = tf.Variable(glorot(shape), name=name)
    variables[name] = kernel, tf.Variable(tf.zeros(outputs))
  return variables


def dense(x, layer):
  """Apply a linear layer."""
  kernel, bias = layer
  return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def convolve(x, layer, stride):
  """Apply a "same" convolution and ReLU."""
  kernel, bias = layer
  x = tf.nn.conv2d(x, kernel, stride, "SAME")
  return tf.nn.relu(tf.nn.bias_add(x, bias))


def transpose_convolve(x, layer, stride):
  """Apply a "same" transposed convolution and ReLU."""
  kernel, bias = layer
  batch, height, width, _ = x.shape
  shape = (batch, height * stride, width * stride, kernel.shape[2])
  x = tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME")
  return tf.nn.relu(tf.nn.bias_add(x, bias))


def drop(x):
  """Apply dropout with a fresh mask."""
  return tf.nn.dropout(x, DROPOUT)


def encode(layers, image, condition):
  """Return mean and log-variance, both [batch, 40]."""
  batch = image.shape[0]
  x = drop(convolve(image, layers["encoder_conv1"], 2))
  x = drop(convolve(x, layers["encoder_conv2"], 2))
  x = convolve(x, layers["encoder_conv3"], 1)
  x = tf.concat([tf.reshape(x, (batch, -1)), condition], 1)
  x = tf.nn.relu(dense(x, layers["encoder_dense"]))
  side = tf.nn.relu(dense(tf.reshape(image, (batch, -1)), layers["side"]))
  x = tf.concat([x, side], 1)
  return dense(x, layers["mean"]), dense(x, layers["logvar"])


def decode(layers, latent, condition):
  """Return images [batch, 28, 28, 1]."""
  x = tf.concat([latent, condition], 1)
  x = tf.nn.relu(dense(x, layers["decoder_dense1"]))
  x = tf.nn.relu(dense(x, layers["decoder_dense2"]))
  x = tf.reshape(x, (x.shape[0], 7, 7, 160))
  x = drop(transpose_convolve(x, layers["decoder_conv1"], 2))
  x = drop(transpose_convolve(x, layers["decoder_conv2"], 2))
  return transpose_convolve(x, layers["decoder_conv3"], 1)


def loss_of(layers, image, condition):
  """Return the scalar loss of uint8 images [batch, 28, 28]."""
  target = tf.cast(image, tf.float32)[..., None] * (1 / 255)
  mean, logvar = encode(layers, target, condition)
  noise = tf.random.normal(mean.shape)
  latent = mean + tf.exp(logvar / 2) * noise
  value = decode(layers, latent, condition)
  batch = image.shape[0]
  error = 2 * tf.nn.l2_loss(value - target) / batch
  kl = -0.5 * tf.reduce_sum(1 + logvar - mean * mean - tf.exp(logvar)) / batch
  grey = tf.reduce_sum(tf.nn.relu(value * (1 - value)))
  kernels = [k for k, _ in layers.values() if len(k.shape) == 4]
  squares = 2 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
  return error + kl + GREY * grey + L2 * squares


class Adam:
  """Update variables by TensorFlow's fused Adam kernel."""

  def __init__(self, variables):
    self.variables = variables
    self.moments = [
      (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v)))
      for v in variables
    ]
    self.step = tf.Variable(0.0)

  def apply(self, gradients):
    """Take one step with the inverse-time decay."""
    rate = 1e-3 / (1 + DECAY * self.step)
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


def make_step(layers, variables, batch, xla):
  """Return a function that trains on a fresh random batch."""
  images, conditions = map(tf.constant, timing.random_digits())
  adam = Adam(variables)

  @tf.function(jit_compile=xla)
  def step():
    rows = tf.random.uniform((batch,), 0, images.shape[0], tf.int32)
    with tf.GradientTape() as tape:
      loss = loss_of(
        layers, tf.gather(images, rows), tf.gather(conditions, rows)
      )
    adam.apply(tape.gradient(loss, variables))
    return loss

  return step


def main():
  """Build the model in the chosen setting and time it."""
  arguments = timing.parse_arguments(SETTINGS)
  tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
  tf.random.set_seed(0)
  layers = make_variables()
  variables = [v for layer in layers.values() for v in layer]
  parameters = sum(int(tf.size(v)) for v in variables)
  assert parameters == timing.DIGITS_PARAMETERS, parameters
  xla = arguments.setting == "xla"
  step = make_step(layers, variables, arguments.batch, xla)
  timing.report("TensorFlow", tf.__version__, parameters, step, arguments)


if __name__ == "__main__":
  main()
