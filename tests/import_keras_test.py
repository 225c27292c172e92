"""A Keras model's weights here: what NumPy computes of them."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, runs
from cvae_jax.apps import import_weights, weight_layouts, weight_table
from cvae_jax.data import DataError
from cvae_jax.host.arguments import RunError
from tests import export_test, weight_names
from tests.weight_names import CVAE, WIDTHS

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.usefixtures("plain_convolutions")
ORDERS = {  # of a layer's arrays, as Keras numbers them
  2: ("kernel", "bias"),
  1: ("kernel",),
  4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def dense(rng, *shape):
  """Draw a layer of Keras: a kernel and a bias."""
  kernel = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
  return {"kernel": kernel, "bias": rng.normal(size=shape[-1])}


def norm(rng, width):
  names = ("gamma", "beta", "moving_mean", "moving_variance")
  arrays = rng.uniform(0.5, 1.5, (4, width))
  return dict(zip(names, arrays, strict=True))


def write_keras_2(path, layers, inside=""):
  """Write what model.save_weights("m.h5") writes; inside, what .save does."""
  with h5py.File(path, "w") as file:
    for layer, arrays in layers.items():
      for part, array in arrays.items():
        name = layer.rpartition("/")[2]
        file[f"{inside}{layer}/{name}/{part}:0"] = array.astype(np.float32)
    file.create_group(f"{inside}top_level_model_weights")
    file["optimizer_weights/Adam/m/dense/kernel:0"] = np.zeros((2, 2))


def write_keras_3(target, layers):
  """Write what model.save_weights("m.weights.h5") writes."""
  with h5py.File(target, "w") as file:
    for layer, arrays in layers.items():
      path = layer.replace("/", "/layers/")
      for number, part in enumerate(ORDERS[len(arrays)]):
        array = arrays[part].astype(np.float32)
        file[f"layers/{path}/vars/{number}"] = array
    file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
    file["optimizer/vars/0"] = np.zeros(())


def write_archive(path, layers):
  """Write what model.save("m.keras") writes."""
  content = io.BytesIO()
  write_keras_3(content, layers)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("config.json", '{"class_name": "Functional"}')
    archive.writestr("model.weights.h5", content.getvalue())


WRITERS = {
  "m.h5": write_keras_2,
  "whole.h5": lambda p, layers: write_keras_2(p, layers, "model_weights/"),
  "m.weights.h5": write_keras_3,
  "m.keras": write_archive,
}


@pytest.fixture(scope="module")
def layers():
  """The layers of a CVAE of two models, an encoder and a decoder."""
  rng = np.random.default_rng(0)
  return {
    "encoder/dense": dense(rng, 794, 6),
    "encoder/z_mean": dense(rng, 6, 3),
    "encoder/z_log_var": dense(rng, 6, 3),
    "decoder/dense_1": dense(rng, 13, 5),
    "decoder/dense_2": dense(rng, 5, 784),
  }


TABLE = {
  "encoder.dense_0": "encoder/dense",
  "encoder.mean": "encoder/z_mean",
  "encoder.logvar": "encoder/z_log_var",
  "decoder.dense_0": "decoder/dense_1",
  "decoder.logits": "decoder/dense_2",
}


def apply(x, layer):
  return x @ layer["kernel"] + layer["bias"]


def pairs(layers):
  """Compute inputs and outputs of the CVAE in NumPy."""
  rng = np.random.default_rng(1)
  image = rng.random((4, 28, 28, 1), np.float32)
  condition = np.eye(10, dtype=np.float32)[[3, 1, 4, 9]]
  z = rng.standard_normal((4, 3)).astype(np.float32)
  x = np.hstack([image.reshape(4, -1), condition])
  x = np.maximum(apply(x, layers["encoder/dense"]), 0)
  y = apply(np.hstack([z, condition]), layers["decoder/dense_1"])
  logits = apply(np.maximum(y, 0), layers["decoder/dense_2"])
  return {
    "decode.z": z,
    "decode.condition": condition,
    "decode.image": (1 / (1 + np.exp(-logits))).reshape(4, 28, 28, 1),
    "encode.image": image,
    "encode.condition": condition,
    "encode.mean": apply(x, layers["encoder/z_mean"]),
    "encode.logvar": apply(x, layers["encoder/z_log_var"]),
  }


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_each_version_has_the_same_layers(name, layers, tmp_path):
  WRITERS[name](tmp_path / name, layers)
  found, layout = import_weights.read(tmp_path / name)
  assert layout is weight_layouts.KERAS
  wanted = {f"{k}.{p}": a for k, v in layers.items() for p, a in v.items()}
  assert found.keys() == wanted.keys()
  for key, array in wanted.items():
    np.testing.assert_array_equal(found[key], array.astype(np.float32))


def test_a_cvae_of_keras_becomes_an_export_that_gives_what_numpy_computes(
  layers, data, tmp_path
):
  write_archive(tmp_path / "m.keras", layers)
  (tmp_path / "names.json").write_text(json.dumps(TABLE))
  known = pairs(layers)
  np.savez(tmp_path / "check.npz", **known)
  lines = import_weights.write(
    configs.load(CVAE, WIDTHS | {"data.path": str(data)}),
    tmp_path / "m.keras",
    tmp_path / "names.json",
    tmp_path / "export",
    compare=tmp_path / "check.npz",
    formats=["safetensors"],
  )
  assert lines[0].startswith("decode.image: within")
  run = runs.load(tmp_path / "export")
  found = run.decode(known["decode.z"], known["decode.condition"])
  np.testing.assert_allclose(found, known["decode.image"], atol=1e-5)


def convolved(x, kernel):
  """Convolve [B, H, W, C] by [4, 4, C, D] with stride 2, one pixel padded."""
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (1, 2))
  return np.einsum("bijcuv,uvcd->bijd", windows[:, ::2, ::2], kernel)


def spread(x, kernel):
  """Add each pixel's 4 × 4 patch up: Keras's Conv2DTranspose, stride 2, same.

  Its kernel is [4, 4, out, in].
  """
  count, height, width, _ = x.shape
  out = np.zeros((count, 2 * height + 2, 2 * width + 2, kernel.shape[2]))
  for u in range(4):
    for v in range(4):
      part = x @ kernel[u, v].T
      out[:, u : u + 2 * height : 2, v : v + 2 * width : 2] += part
  return out[:, 1:-1, 1:-1]


def normalised(x, layer):
  """Normalise by moving averages; Keras's ε is 0.001."""
  std = np.sqrt(layer["moving_variance"] + 1e-3)
  return (x - layer["moving_mean"]) / std * layer["gamma"] + layer["beta"]


def leaky(x):
  return np.where(x > 0, x, 0.2 * x)


@pytest.fixture(scope="module")
def maps():
  """The layers of a convolutional VAE with batch normalisation."""
  rng = np.random.default_rng(2)
  found = {"start": dense(rng, 8, 64), "start_norm": norm(rng, 4)}
  found |= {"mean": dense(rng, 64, 8), "log_var": dense(rng, 64, 8)}
  for i in range(4):
    last = i == 3
    found[f"down_{i}"] = dense(rng, 4, 4, 4 if i else 3, 4)
    found[f"up_{i}"] = dense(rng, 4, 4, 3 if last else 4, 4)
    found[f"up_{i}"]["bias"] = rng.normal(size=3 if last else 4)
    if i:
      found[f"down_{i}"].pop("bias")
      found[f"down_norm_{i - 1}"] = norm(rng, 4)
    if not last:
      found[f"up_{i}"].pop("bias")
      found[f"up_norm_{i}"] = norm(rng, 4)
  return found


def encoded(maps, x):
  for i in range(4):
    x = convolved(x, maps[f"down_{i}"]["kernel"])
    if i:
      x = normalised(x, maps[f"down_norm_{i - 1}"])
    else:
      x = x + maps["down_0"]["bias"]
    x = leaky(x)
  return apply(x.reshape(len(x), -1), maps["mean"])


def decoded(maps, z):
  x = apply(z, maps["start"]).reshape(-1, 4, 4, 4)
  x = np.maximum(normalised(x, maps["start_norm"]), 0)
  for i in range(3):
    x = spread(x, maps[f"up_{i}"]["kernel"])
    x = np.maximum(normalised(x, maps[f"up_norm_{i}"]), 0)
  x = spread(x, maps["up_3"]["kernel"]) + maps["up_3"]["bias"]
  return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_convolutions_and_moving_averages_give_what_numpy_computes(
  name, maps, tmp_path
):
  WRITERS[name](tmp_path / name, maps)
  page, changes = export_test.PAGES["vae_64"]
  changes = changes | {
    f"model.{n}.norm": "batch" for n in ("encoder", "decoder")
  }
  system = configs.resolve(configs.load(page, changes))
  names = ("down_{}", "down_norm_{}", "up_{}", "up_norm_{}")
  table = weight_names.of_convolutions(*names) | {
    "encoder.mean": "mean",
    "encoder.logvar": "log_var",
    "decoder.dense": "start",
    "decoder.norm": "start_norm",
  }
  arrays, layout = import_weights.read(tmp_path / name)
  state = weight_table.fill_state(system, arrays, table, layout=layout)
  rng = np.random.default_rng(3)
  z = rng.standard_normal((2, 8), np.float32)
  image = rng.random((2, 64, 64, 3), np.float32)
  none = np.zeros((2, 0), np.float32)
  found = jax.jit(system.decode)(state, z, none)
  np.testing.assert_allclose(found, decoded(maps, z), atol=1e-5)
  q = jax.jit(system.encode)(state, image, none)
  np.testing.assert_allclose(q.mean, encoded(maps, image), atol=1e-5)


def test_what_is_missing_or_no_weights_is_said_in_a_line(layers, tmp_path):
  system = configs.resolve(configs.load(CVAE, WIDTHS))
  write_keras_2(tmp_path / "m.h5", layers)
  arrays, layout = import_weights.read(tmp_path / "m.h5")
  wrong = TABLE | {"encoder.mean": "encoder/mean"}
  said = r"to be encoder/mean.bias or encoder/mean.beta, which is not in the"
  with pytest.raises(RunError, match=said):
    weight_table.fill_state(system, arrays, wrong, layout=layout)
  (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n...")
  (tmp_path / "a.keras").write_bytes(b"no archive")
  for name in ("cut.h5", "a.keras"):
    with pytest.raises(DataError, match="damaged or no weights"):
      import_weights.read(tmp_path / name)
