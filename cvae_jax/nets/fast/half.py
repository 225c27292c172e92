"""Products and convolutions of bfloat16 numbers, added up in float32.

Operands are rounded to bfloat16, which has float32's range and 8 bits of
precision. Parameters, maps, losses and the optimiser's state stay float32.
They are used only in what is traced within `trace_bfloat16`. On CPU
half_conv.py has forms that are fast there.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

_ON = contextvars.ContextVar("half", default=False)
_FAST = contextvars.ContextVar("fast", default=False)
_F32 = jnp.float32


def is_on() -> bool:
  """Tell whether to trace products of bfloat16 numbers."""
  return _ON.get()


def is_fast_on_cpu() -> bool:
  """Tell whether to trace them as half_conv.py has them; barriers stay then."""
  return _FAST.get()


@contextlib.contextmanager
def trace_bfloat16(fast_on_cpu: bool = False) -> Iterator[None]:
  """Trace products of bfloat16 numbers.

  Args:
    fast_on_cpu: in the forms of half_conv.py. The program must be compiled with
      the options of loop/precision.py.
  """
  tokens = _ON.set(True), _FAST.set(fast_on_cpu)
  try:
    yield
  finally:
    _ON.reset(tokens[0])
    _FAST.reset(tokens[1])


def product(x: Array, kernel: Array) -> Array:
  """Multiply x [..., C] by a kernel [C, D]: float32 [..., D]."""
  return _bilinear(_matmul, x, kernel)


def conv(x: Array, kernel: Array, stride: int, padding: str) -> Array:
  """Convolve x [B, H, W, C] with kernel [k, k, C, D]: float32."""
  return _bilinear(_Convolution(stride, padding, False), x, kernel)


def conv_transpose(x: Array, kernel: Array, stride: int) -> Array:
  """Convolve x [B, H, W, C] transposed with kernel [k, k, C, D]: float32."""
  return _bilinear(_Convolution(stride, "SAME", True), x, kernel)


def _matmul(x: Array, kernel: Array, result=None) -> Array:
  return jnp.matmul(x, kernel, preferred_element_type=result)


class _Convolution(NamedTuple):
  """A convolution by its stride, its padding and its direction."""

  stride: int
  padding: str
  transposed: bool

  def __call__(self, x: Array, kernel: Array, result=None) -> Array:
    run = lax.conv_transpose if self.transposed else lax.conv_general_dilated
    return run(
      x,
      kernel,
      (self.stride, self.stride),
      self.padding,
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
      preferred_element_type=result,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _bilinear(run: Callable, x: Array, kernel: Array) -> Array:
  return run(_half(x), _half(kernel), _F32)


def _backward(run: Callable, saved, g: Array):
  x, kernel = saved
  g = _half(g)
  (dx,) = jax.linear_transpose(lambda x: run(x, kernel), x)(g)
  (dkernel,) = jax.linear_transpose(lambda w: run(x, w), kernel)(g)
  return dx.astype(_F32), dkernel.astype(_F32)


def _forward(run: Callable, x: Array, kernel: Array):
  # What the backward pass needs is kept as bfloat16: half the memory.
  return _bilinear(run, x, kernel), (_half(x), _half(kernel))


_bilinear.defvjp(_forward, _backward)


def _half(x: Array) -> Array:
  return x.astype(jnp.bfloat16)
