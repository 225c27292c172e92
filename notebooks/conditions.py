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
# # Conditions
#
# What a model can be asked for: kinds of attributes, values that are unknown,
# and guidance. The images are clock hands; docs/conditions.md has the rest.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

from cvae_jax import config, data, runs, train

QUICK = bool(os.environ.get("QUICK"))  # as short as can be, for tests
FOLDER = Path(tempfile.mkdtemp())
COUNT = 300 if QUICK else 4000
SIDE = 16

# %%
rng = np.random.default_rng(0)
turn = rng.uniform(0, 360, COUNT)
width = rng.choice(["thin", "middle", "thick"], COUNT)

y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
images = np.zeros((COUNT, SIDE, SIDE, 1), np.float32)
for i in range(COUNT):
  across, along = np.cos(np.radians(turn[i])), np.sin(np.radians(turn[i]))
  far = across * y + along * x
  aside = np.abs(along * y - across * x)
  half = {"thin": 0.7, "middle": 1.5, "thick": 2.5}[width[i]]
  images[i, ..., 0] = np.clip(half - aside, 0, 1) * ((far > 0) & (far < 7))

# %% [markdown]
# ## Kinds
#
# An angle is periodic: 359° is next to 1°. Ranked levels are ordinal. The
# values show neither, so both kinds are stated. A fifth of the widths are
# unknown.
# In training one value in ten is made unknown as well, so that the model also
# learns what an unknown angle is.

# %%
known = width.astype(object)
known[rng.random(COUNT) < 0.2] = None
kinds = {"turn": "angle", "width": "ordinal:thin<middle<thick"}
dataset = data.from_arrays(
  np.rint(255 * images).astype(np.uint8),
  {"turn": turn, "width": known},
  kinds=kinds,
)
changes = {"epochs": 1 if QUICK else 12, "optim.lr": 3e-4}
changes["data.condition_dropout"] = 0.1
settings = config.load("images", changes)
state = train.train_and_evaluate(settings, FOLDER / "hands", dataset=dataset)
run = runs.load(FOLDER / "hands")
run

# %% [markdown]
# ## Requests
#
# As arguments, as text, or as a mapping with a value for each image.

# %%
run.sample(turn=90, width="thick", count=2).shape

# %%
run.sample("turn=90,width=thick", count=2).shape

# %%
run.sample({"turn": [0, 90, 180], "width": "thick"}).shape

# %%
run.grid("width", "turn")

# %% [markdown]
# `request` shows the vectors that the model sees, and what was left out.

# %%
asked = run.request(turn=90)
asked.note

# %% [markdown]
# ## Guidance
#
# If a model was trained with unknown values, it can decode a latent with the
# condition and without it. Guidance extrapolates from the image without the
# condition to the image with it: above 1 the condition is exaggerated.

# %%
run.grid("width", turn=45, guidance=1.0)

# %%
run.grid("width", turn=45, guidance=2.0)
