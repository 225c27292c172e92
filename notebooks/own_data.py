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
# # Your own images
#
# Images and what is known about them are arrays. Here they are drawn: a disc or
# a square, of some colour and size. For files and tables use
# `cvae-jax prepare images` (docs/own_data.md).

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
shape = rng.choice(["disc", "square"], COUNT)
colour = rng.choice(["red", "green", "blue"], COUNT)
size = rng.uniform(2, 6, COUNT)

y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
images = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
for i in range(COUNT):
  distance = (
    np.hypot(x, y) if shape[i] == "disc" else np.maximum(abs(x), abs(y))
  )
  channel = ["red", "green", "blue"].index(colour[i])
  images[i, ..., channel] = 255 * np.clip(size[i] - distance, 0, 1)

# %% [markdown]
# The kind of each attribute is taken from its values: words are a class,
# numbers a number. `dataset.conditions` says what was found.

# %%
dataset = data.from_arrays(
  images, {"shape": shape, "colour": colour, "size": size}
)
[(a.name, a.kind, a.choices()) for a in dataset.conditions.attributes]

# %% [markdown]
# `images` is the page for any images: it builds its network for what it finds.

# %%
changes = {"epochs": 1 if QUICK else 12, "optim.lr": 3e-4}
settings = config.load("images", changes)
state = train.train_and_evaluate(settings, FOLDER / "shapes", dataset=dataset)

# %%
run = runs.load(FOLDER / "shapes")
run

# %% [markdown]
# A request is in words. If it does not name an attribute, its value is drawn
# from the training rows.

# %%
run.grid("shape", "colour", size=5)

# %%
run.traverse("size", shape="disc", colour="green", count=2)

# %% [markdown]
# Edit one of your images: it is encoded with what it shows and decoded with
# what it should show.

# %%
shown = {"shape": shape[0], "colour": colour[0], "size": size[0]}
edited = run.edit(images[:1], shown, "colour=blue")
edited.shape
