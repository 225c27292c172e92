"""Conditional variational autoencoders and their relatives, in JAX and Flax.

Nothing is imported here: `from cvae_jax import runs` costs only what it uses.
"""

__version__ = "0.1.0"
