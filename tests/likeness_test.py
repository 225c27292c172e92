"""Likeness to real images: of runs whose figures are known, measured once."""

from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax.data import Dataset
from cvae_jax.data.files import vgg_files
from cvae_jax.measures import likeness
from cvae_jax.metrics import perceptual
from cvae_jax.nets import features
from cvae_jax.types import TrainState

pytestmark = pytest.mark.usefixtures("plain_convolutions")
SIDE = 16


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
  """Has a narrow VGG16 of random weights in the place of the real one."""
  monkeypatch.setattr(features, "WIDTHS", (2, 3, 4, 5, 6))
  rng = np.random.default_rng(0)
  before = 3
  tree = {}
  for name in features.layers("vgg16"):
    after = features.WIDTHS[int(name[4]) - 1]
    kernel = rng.normal(0, 0.4, (3, 3, before, after)).astype(np.float32)
    tree[name] = {"kernel": kernel, "bias": np.ones(after, np.float32)}
    before = after
  widths = zip(features.LPIPS_TAPS, features.WIDTHS, strict=True)
  heads = {tap: np.ones(width, np.float32) for tap, width in widths}
  monkeypatch.setattr(vgg_files, "lpips", lambda: (tree, heads))


def split(seed, count=12):
  rng = np.random.default_rng(seed)
  low = rng.integers(0, 100, (count, 1, 1, 3))
  image = low + rng.integers(0, 150, (count, SIDE, SIDE, 3))
  return {"image": image.astype(np.uint8), "condition": np.zeros((count, 2))}


def run(folder, samples, again, step=3):
  """A run that draws the samples and reconstructs by `again`."""
  folder.mkdir(exist_ok=True)
  return SimpleNamespace(
    folder=folder,
    state=TrainState(np.int32(step), {}, {}, {}),
    fitted=None,
    guidance=1.0,
    temperature=1.0,
    sample=lambda condition, seed: samples[: len(condition)],
    edit=lambda image, own, changed: again(image / np.float32(255)),
  )


def test_a_perfect_run_has_no_distance_and_a_poor_one_has(tmp_path):
  dataset = Dataset(split(0), split(1), None)
  real = dataset.test["image"] / np.float32(255)
  perfect = run(tmp_path / "perfect", real, lambda x: x)
  poor = run(
    tmp_path / "poor", 0 * real, lambda x: x.mean(0, keepdims=True) + 0 * x
  )
  good, bad = likeness.measure([perfect, poor], dataset)
  protocol = good["protocol"]
  assert [protocol[k] for k in ("step", "images", "seed")] == [3, 12, 0]
  assert good["kid_vgg16"] < bad["floor"]["kid_vgg16"] < bad["kid_vgg16"]
  assert good["lpips"] == pytest.approx(0, abs=1e-6)
  assert good["frechet_vgg16"] == pytest.approx(0, abs=1e-5)
  assert good["sliced"] == 0
  assert (good["precision"], good["recall"]) == (1, 1)
  assert bad["lpips"] > 0.001
  assert bad["frechet_vgg16"] > bad["floor"]["frechet_vgg16"] > 0
  assert bad["sliced"] > bad["floor"]["sliced"] > 0
  assert bad["recall"] == 0


def test_it_is_measured_once_for_each_checkpoint(tmp_path, monkeypatch):
  calls = []

  class Yardstick:
    def __init__(self, dataset, count):
      calls.append("yardstick")

    def measure(self, run, seed):
      return {"lpips": 1.0}

  monkeypatch.setattr(likeness, "_Yardstick", Yardstick)
  dataset = Dataset(split(0), split(1, 5), None)
  for step in (3, 3, 4):
    found = likeness.measure([run(tmp_path, None, None, step)] * 2, dataset)
    assert [known["lpips"] for known in found] == [1.0, 1.0]
    assert found[0]["protocol"]["images"] == 5
  assert calls == ["yardstick"] * 2


def test_lpips_of_rows_sorted_by_class_is_of_all_classes(tmp_path, monkeypatch):
  monkeypatch.setattr(  # the mean distance of pixels
    perceptual, "lpips", lambda *_: lambda a, b: abs(a - b).mean((1, 2, 3))
  )
  # An image of class k is grey by k, and its reconstruction is black.
  grey = np.repeat(np.arange(10) * 25, 60)
  image = np.zeros((600, SIDE, SIDE, 3), np.uint8) + grey[:, None, None, None]
  columns = {"image": image.astype(np.uint8), "condition": np.zeros((600, 2))}
  seen = []

  def again(shown):
    seen.append(len(shown))
    return 0 * shown

  made = run(tmp_path, image / np.float32(255), again)
  (found,) = likeness.measure([made], Dataset(columns, columns, None))
  assert seen == [likeness.PAIRS]
  assert found["lpips"] == pytest.approx(grey.mean() / 255, rel=0.01)
  assert found["frechet_vgg16"] == pytest.approx(0.0, abs=1e-3)
