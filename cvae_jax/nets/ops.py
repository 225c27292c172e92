"""Operations whose gradients XLA is told how to run fast on CPU.

What XLA:CPU makes of the plain forms: a bias's gradient is a sum over rows at
a fortieth of the memory's rate, and every sigmoid is stored for the way back.
On GPU and TPU the plain forms are right; `fast_on_cpu` decides, in one place.
"""

import jax
import jax.numpy as jnp
from jax import Array


def fast_on_cpu() -> bool:
  """Tells whether to trace the formulations that are fast on CPU."""
  return jax.default_backend() == "cpu"


def add_bias(x: Array, bias: Array) -> Array:
  """Adds bias [C] to x [..., C]."""
  return (_add if fast_on_cpu() else _plain_add)(x, bias)


@jax.custom_vjp
def silu(x: Array) -> Array:
  """Gives x · sigmoid(x); the way back keeps x alone."""
  return x * jax.nn.sigmoid(x)


def column_sums(x: Array) -> Array:
  """Sums x [..., C] to [C], as a row of ones times a matrix."""
  rows = x.reshape(-1, x.shape[-1])
  return jnp.ones((len(rows),), x.dtype) @ rows


def _silu_back(x: Array, g: Array):
  # As tanh, not sigmoid: XLA would find the one on the way there and store it.
  s = 0.5 + 0.5 * jnp.tanh(0.5 * x)
  return (g * (s * (1.0 + x * (1.0 - s))),)


silu.defvjp(lambda x: (silu(x), x), _silu_back)


def _plain_add(x: Array, bias: Array) -> Array:
  return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))


@jax.custom_vjp
def _add(x: Array, bias: Array) -> Array:
  return _plain_add(x, bias)


_add.defvjp(
  lambda x, bias: (_plain_add(x, bias), None),
  lambda _, g: (g, column_sums(g)),
)
