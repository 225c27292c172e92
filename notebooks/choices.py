# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Choices
#
# Likelihood, prior and optimiser are names in a config. Here the same small
# network is trained with four likelihoods; docs/choices.md says what they mean.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

from cvae_jax import config, runs, train

QUICK = bool(os.environ.get("QUICK"))  # as short as can be, for tests
FOLDER = Path(tempfile.mkdtemp())
LIKELIHOODS = ["gaussian", "sigma", "bernoulli", "continuous_bernoulli"]
if QUICK:
  LIKELIHOODS = LIKELIHOODS[:2]

# %%
for name in LIKELIHOODS:
  changes = {
    "loss.likelihood": name,
    "model.latents": 8,
    "epochs": 1 if QUICK else 8,
  }
  settings = config.load("zoo:scvae,smoke", changes)
  train.train_and_evaluate(settings, FOLDER / name)

# %% [markdown]
# `runs.below` finds the runs in a folder; here they become a table. Compare
# ELBOs only between runs of the same likelihood: in some likelihoods pixels are
# real numbers, in others they are bits. The PSNR of reconstructions can be
# compared between all runs.

# %%
found = {run.path.name: run.split("test")[-1] for run in runs.below(FOLDER)}
pd.DataFrame(found).T[["elbo", "kl", "psnr"]]

# %% [markdown]
# The samples, one latent a grid. `sigma` learns one variance, so there is no
# weight to choose between reconstruction and KL.

# %%
runs.load(FOLDER / "sigma").grid("class")

# %%
runs.load(FOLDER / LIKELIHOODS[-1]).grid("class")

# %% [markdown]
# Which values are best is a search: `cvae-jax tune` (docs/tune.md).
#
#     cvae-jax tune --config=zoo:scvae --workdir=runs/tune --metric=psnr \
#       --direction=max --space="config.loss.likelihood=gaussian,sigma"
