"""Networks' layers in NumPy, for the tests of systems: slow and plain."""

import numpy as np


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def relu(x):
  return np.maximum(x, 0)


def leaky(x, slope):
  return np.where(x > 0, x, slope * x)


def dense(x, layer):
  return x.reshape(len(x), -1) @ layer["kernel"] + layer["bias"]


def pad(x, low, high, mode="constant"):
  return np.pad(x, ((0, 0), (low, high), (low, high), (0, 0)), mode)


def correlate(x, kernel, stride=1):
  """Slides kernel [k, k, C, D] over x [B, H, W, C] without padding."""
  size = kernel.shape[:2]
  windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
  return np.einsum(
    "bhwcij,ijcd->bhwd", windows[:, ::stride, ::stride], kernel, optimize=True
  )


def conv(x, kernel, stride=1):
  """Convolves with SAME padding as TensorFlow defines it; square maps."""
  n = x.shape[1]
  k = len(kernel)
  total = max((-(-n // stride) - 1) * stride + k - n, 0)
  return correlate(pad(x, total // 2, total - total // 2), kernel, stride)


def transposed(x, kernel, stride):
  """Convolves x with stride − 1 zeros between its pixels, SAME padding."""
  b, n, _, c = x.shape
  size = stride * (n - 1) + 1
  wide = np.zeros((b, size, size, c))
  wide[:, ::stride, ::stride] = x
  total = len(kernel) + stride - 2
  return correlate(pad(wide, -(-total // 2), total // 2), kernel)


def upsampled(x, kernel, edge):
  """Doubles x by nearest neighbour, pads by one pixel, convolves."""
  x = x.repeat(2, axis=1).repeat(2, axis=2)
  return correlate(pad(x, 1, 1, edge), kernel)


def norm(x, layer, stats=None, epsilon=1e-3):
  """Normalises by the batch or by stats: (output, mean, variance)."""
  axes = tuple(range(x.ndim - 1))
  mean, var = (
    (stats["mean"], stats["var"]) if stats else (x.mean(axes), x.var(axes))
  )
  x = (x - mean) / np.sqrt(var + epsilon)
  return x * layer["scale"] + layer["bias"], mean, var


def moved(old, values, momentum=0.99):
  """Moves running statistics by batches' [mean, …] in turn."""
  for value in values:
    old = momentum * old + (1 - momentum) * value
  return old


def cross_entropy(logits, real):
  p = sigmoid(logits)
  return -np.log(p if real else 1 - p)


def mlp(x, layers, activation, *heads):
  """Applies the hidden layers dense_0, dense_1, … and then each head."""
  for i in range(sum(name.startswith("dense") for name in layers)):
    x = activation(dense(x, layers[f"dense_{i}"]))
  return [dense(x, layers[head]) for head in heads]


def softplus(x):
  return np.logaddexp(0, x)


def softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def bernoulli(x, logits):
  """Return −log p(x) of pixels with these logits, summed."""
  p = sigmoid(logits)
  return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1)


def kl(mean, logvar):
  """Return the KL divergence from N(0, I), summed."""
  return 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(-1)
