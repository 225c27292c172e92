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
# # Start
#
# Look at a trained model, then train a small one. Nothing is downloaded.
# Open this file in Jupyter with [jupytext](https://jupytext.readthedocs.io), or
# run it as a script.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

from cvae_jax import config, runs, train

QUICK = bool(os.environ.get("QUICK"))  # as short as can be, for tests
FOLDER = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A model that comes with the package
#
# It was trained on 60,000 digits. A request names attributes: the class, and
# how much ink a digit has compared with others of its class.

# %%
run = runs.load("pretrained/digits")
run

# %% [markdown]
# Eight threes. `sample` returns an array [8, 28, 28, 1] of numbers in [0, 1].

# %%
images = run.sample({"class": 3, "ink": 0.5}, count=8)
images.shape

# %% [markdown]
# `grid` draws every level of one or two attributes. All pictures share one
# latent: one hand writes all ten digits.

# %%
run.grid("class", "ink", seed=1)

# %% [markdown]
# `traverse` moves the latents that change images most. The condition stays the
# same.

# %%
run.traverse(**{"class": 3}, ink=0.5)

# %% [markdown]
# `interpolate` walks from one image to another.

# %%
two, seven = run.sample({"class": [2, 7], "ink": 0.0}, seed=4)
run.interpolate(two, seven, condition="class=2,ink=0", to="class=7")

# %% [markdown]
# ## Train one
#
# A page names a network, its data and its training. Any key can be changed.
# `smoke` is a page's shortest variant.

# %%
settings = config.load("zoo:scvae,smoke", {"epochs": 1 if QUICK else 8})
state = train.train_and_evaluate(settings, FOLDER / "digits")

# %% [markdown]
# The same call on the same folder goes on from its last checkpoint. A finished
# run is returned as it is. `metrics.jsonl` holds what was measured.

# %%
rows = pd.read_json(FOLDER / "digits" / "metrics.jsonl", lines=True)
rows[rows.split == "test"].dropna(axis=1).set_index("epoch")

# %%
mine = runs.load(FOLDER / "digits")
mine
