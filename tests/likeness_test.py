"""Similarity to real images, with a stand-in for VGG16's features."""

from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax.data import Dataset
from cvae_jax.measures import kept, likeness
from cvae_jax.metrics import perceptual


@pytest.fixture
def greys(monkeypatch):
  """Have pixels as features, and their mean distance as LPIPS."""
  monkeypatch.setattr(likeness.vgg_files, "lpips", lambda: (None, None))
  monkeypatch.setattr(
    perceptual,
    "make_embedding",
    lambda _: lambda x: x.reshape(len(x), -1),
  )
  monkeypatch.setattr(
    perceptual, "lpips", lambda *_: lambda a, b: abs(a - b).mean((1, 2, 3))
  )
  monkeypatch.setattr(kept, "identify_state", lambda run: {})
  monkeypatch.setattr(kept, "section", lambda run, name: name)


def test_reconstructions_of_rows_sorted_by_class_are_of_all_classes(
  greys, tmp_path
):
  # An image of class k is grey by k, and its reconstruction is black.
  grey = np.repeat(np.arange(10) * 25, 60)
  image = np.zeros((600, 8, 8, 1), np.uint8) + grey[:, None, None, None]
  columns = {"image": image.astype(np.uint8), "condition": np.zeros((600, 1))}
  seen = []

  def edit(images, condition, changed):
    seen.append(len(images))
    return np.zeros(images.shape, np.float32)

  run = SimpleNamespace(
    folder=tmp_path,
    edit=edit,
    sample=lambda condition, seed: image / 255.0,
  )
  (found,) = likeness.measure([run], Dataset(columns, columns, None))
  assert seen == [likeness.PAIRS]
  assert found["lpips"] == pytest.approx(grey.mean() / 255, rel=0.01)
  assert found["frechet_vgg16"] == pytest.approx(0.0, abs=1e-3)
