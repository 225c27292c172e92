"""A PyTorch model's weights here: the same outputs, or one line of error."""

import json
import math
import shutil

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, runs
from cvae_jax.apps import import_weights, weight_table
from cvae_jax.apps.weight_layouts import PYTORCH
from cvae_jax.host import tensors
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import DamagedFile
from tests import export_test, weight_names
from tests.weight_names import CVAE, WIDTHS

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

pytestmark = pytest.mark.torch
TABLE = {
  "encoder.dense_0": {"from": "fc1", "in": [[10, 794], [0, 10]]},
  "encoder.mean": "fc21",
  "encoder.logvar": "fc22",
  "decoder.dense_0": "fc3",
  "decoder.logits": "fc4",
}


class Cvae(nn.Module):
  """The usual example; its encoder takes the class before the image."""

  def __init__(self):
    super().__init__()
    self.fc1 = nn.Linear(10 + 784, 6)
    self.fc21 = nn.Linear(6, 3)
    self.fc22 = nn.Linear(6, 3)
    self.fc3 = nn.Linear(3 + 10, 5)
    self.fc4 = nn.Linear(5, 784)

  def encode(self, image, condition):
    x = torch.cat([condition, image.reshape(len(image), -1)], 1)
    x = F.relu(self.fc1(x))
    return self.fc21(x), self.fc22(x)

  def decode(self, z, condition):
    x = F.relu(self.fc3(torch.cat([z, condition], 1)))
    return torch.sigmoid(self.fc4(x)).reshape(-1, 28, 28, 1)


class Convolutions(nn.Module):
  """DCGAN's shapes: maps as [C, H, W], norms, one layer for two heads."""

  def __init__(self):
    super().__init__()
    self.down = nn.ModuleList(
      nn.Conv2d(i, 4, 4, 2, 1, bias=not n) for n, i in enumerate((3, 4, 4, 4))
    )
    self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
    self.heads = nn.Linear(4 * 4 * 4, 16)
    self.start = nn.Linear(8, 4 * 4 * 4)
    self.first = nn.BatchNorm2d(4)
    outs = (4, 4, 4, 3)
    self.up = nn.ModuleList(
      nn.ConvTranspose2d(4, o, 4, 2, 1, bias=n == 3) for n, o in enumerate(outs)
    )
    self.after = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))

  def encode(self, image):
    x = F.leaky_relu(self.down[0](image.permute(0, 3, 1, 2)), 0.2)
    for conv, norm in zip(self.down[1:], self.norms, strict=True):
      x = F.leaky_relu(norm(conv(x)), 0.2)
    return self.heads(x.flatten(1)).chunk(2, 1)

  def decode(self, z):
    x = F.relu(self.first(self.start(z).reshape(-1, 4, 4, 4)))
    for conv, norm in zip(self.up[:3], self.after, strict=True):
      x = F.relu(norm(conv(x)))
    return torch.sigmoid(self.up[3](x)).permute(0, 2, 3, 1)


def trained(model):
  """Return a model whose every weight and statistic is drawn."""
  generator = torch.Generator().manual_seed(0)
  for name, array in model.state_dict().items():
    if array.dtype.is_floating_point:
      width = math.sqrt(array[0].numel()) if array.ndim > 1 else 1.0
      drawn = torch.rand(array.shape, generator=generator)
      array.copy_(drawn + 0.5 if "var" in name else (drawn * 2 - 1) / width)
  return model.eval()


def weights(model):
  return {name: array.numpy() for name, array in model.state_dict().items()}


def outputs(function, *arrays):
  with torch.no_grad():
    found = function(*map(torch.from_numpy, arrays))
  return [a.numpy() for a in (found if isinstance(found, tuple) else (found,))]


@pytest.fixture(scope="module")
def cvae():
  return trained(Cvae())


@pytest.fixture
def system():
  return configs.resolve(configs.load(CVAE, WIDTHS))


def pairs(model):
  """Return inputs and outputs of the model by the names of `check`."""
  rng = np.random.default_rng(0)
  image = rng.random((4, 28, 28, 1), np.float32)
  condition = np.eye(10, dtype=np.float32)[[3, 1, 4, 9]]
  z = rng.standard_normal((4, 3), np.float32)
  mean, logvar = outputs(model.encode, image, condition)
  (drawn,) = outputs(model.decode, z, condition)
  return {
    "decode.z": z,
    "decode.condition": condition,
    "decode.image": drawn,
    "encode.image": image,
    "encode.condition": condition,
    "encode.mean": mean,
    "encode.logvar": logvar,
  }


def test_a_cvae_of_pytorch_gives_the_same_outputs_here(cvae, system):
  state = weight_table.fill_state(system, weights(cvae), TABLE)
  known = pairs(cvae)
  q = system.encode(state, known["encode.image"], known["encode.condition"])
  np.testing.assert_allclose(q.mean, known["encode.mean"], atol=1e-5)
  np.testing.assert_allclose(q.logvar, known["encode.logvar"], atol=1e-5)
  image = system.decode(state, known["decode.z"], known["decode.condition"])
  np.testing.assert_allclose(image, known["decode.image"], atol=1e-5)


def test_convolutions_norms_maps_and_joint_heads_are_turned_to_what_is_here(
  plain_convolutions_here,
):
  model = trained(Convolutions())
  name, changes = export_test.PAGES["vae_64"]
  system = configs.resolve(configs.load(name, changes))
  theirs = weights(model)
  for part in ("weight", "bias"):  # one layer for two heads, split by a user
    mean, logvar = np.split(theirs.pop(f"heads.{part}"), 2)
    theirs |= {f"mean.{part}": mean, f"logvar.{part}": logvar}
  here = [4, 4, 4]
  names = ("down.{}", "norms.{}", "up.{}", "after.{}")
  table = weight_names.of_convolutions(*names) | {
    "encoder.mean": {"from": "mean", "in_map": here},
    "encoder.logvar": {"from": "logvar", "in_map": here},
    "decoder.dense": {"from": "start", "out_map": here},
    "decoder.norm": "first",
  }
  latents = 16 // 2
  assert system.latents == latents
  state = weight_table.fill_state(system, theirs, table)
  rng = np.random.default_rng(1)
  z = rng.standard_normal((3, latents), np.float32)
  image = rng.random((3, 64, 64, 3), np.float32)
  none = np.zeros((3, 0), np.float32)
  (expected,) = outputs(model.decode, z)
  found = jax.jit(system.decode)(state, z, none)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  q = jax.jit(system.encode)(state, image, none)
  mean, logvar = outputs(model.encode, image)
  np.testing.assert_allclose(q.mean, mean, atol=1e-5)
  np.testing.assert_allclose(q.logvar, logvar, atol=1e-5)


def without(table, name):
  return {k: v for k, v in table.items() if k != name}


@pytest.mark.parametrize(
  ("table", "said"),
  [
    (without(TABLE, "decoder.logits"), "says nothing of decoder.logits"),
    (TABLE | {"encoder.mean": "fc23"}, r"fc23\.bias, which is not in the file"),
    (TABLE | {"encoder.mean": "fc4"}, r"mean: its bias is \(3,\) here, and"),
    (TABLE | {"encoder.mean": "fc22"}, r"no layer here reads fc21\.bias, fc21"),
    (TABLE | {"encoder.mean": {"form": "fc21"}}, "expected a name, or a map"),
    (
      TABLE | {"encoder.mean": {"from": "fc21", "as": "lstm"}},
      "is 'lstm'; expec",
    ),
    (
      TABLE | {"decoder.logits": {"from": "fc4", "out_map": [28, 28, 3]}},
      r"a map of \[28, 28, 3\] has 2352 entries, and the layer 784",
    ),
    (TABLE | {"ignore": ["fc9.bias"]}, r"ignore names fc9\.bias, which"),
    (TABLE | {"ignore": "fc9"}, "ignore is 'fc9'; expected a list of names"),
    (TABLE | {"ignore": [["fc9"]]}, "expected a list of names"),
    (TABLE | {"encoder.typo": "fc21"}, "no layer here is called so; there is"),
    (TABLE | {"encoder.mean": {"from": [1]}}, "expected a name, or a list of"),
    (
      TABLE | {"encoder.dense_0": {"from": "fc1", "in": [[0, 784], [0, 10]]}},
      "are not each of its 794 inputs once",
    ),
    (TABLE | {"encoder.mean": {"from": "fc21", "in": 5}}, r"blocks \[\[first"),
    (
      TABLE | {"decoder.logits": {"from": "fc4", "out_map": [28, -1, 1]}},
      r"its 'out_map' is \[28, -1, 1\]; expected \[height, width, channels\]",
    ),
    (
      TABLE | {"encoder.mean": {"from": "fc21", "as": "conv"}},
      r"the table says conv, and theirs is \(3, 6\): expected linear",
    ),
  ],
)
def test_a_table_that_does_not_fit_says_where(table, said, cvae, system):
  with pytest.raises(RunError, match=said):
    weight_table.fill_state(system, weights(cvae), table)


@pytest.mark.parametrize(
  ("value", "kind", "said"),
  [
    (np.nan, np.float32, "its bias, of fc3, has values that are no finite"),
    (1e300, np.float64, "values that are no finite numbers"),
    (3, np.int8, "theirs is of int8; expected floating-point numbers"),
  ],
)
def test_weights_that_are_no_numbers_of_a_network_are_refused(
  value, kind, said, cvae, system
):
  theirs = weights(cvae) | {"fc3.bias": np.full(5, value, kind)}
  with (
    np.errstate(over="ignore"),
    pytest.raises(RunError, match=said),
  ):
    weight_table.fill_state(system, theirs, TABLE)


def test_a_map_of_a_convolution_is_refused():
  theirs = {"a.weight": np.zeros((4, 3, 4, 4), np.float32)}
  entry = {"from": ["a"], "in_map": [4, 4, 4]}
  with pytest.raises(RunError, match="in_map is for dense layers, and theirs"):
    weight_table._convert_array("x.kernel", entry, theirs, set(), PYTORCH)


def test_a_type_of_arrays_that_is_not_read_is_named(tmp_path):
  header = json.dumps(
    {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 4]}}
  ).encode()
  path = tmp_path / "m.safetensors"
  path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
  with pytest.raises(DamagedFile, match=r"type F8_E4M3; .*save it as float32"):
    import_weights.read(path)


def test_what_is_ignored_is_not_missed(cvae, system):
  arrays = weights(cvae) | {
    "loss.scale": np.ones(1),
    "n.num_batches_tracked": 1,
  }
  table = TABLE | {"ignore": ["loss.scale"]}
  weight_table.fill_state(system, arrays, table)


@pytest.fixture
def files(cvae, tmp_path):
  """Return a folder with weights, table and outputs as a user has them."""
  (tmp_path / "names.json").write_text(json.dumps(TABLE))
  for name, arrays in (("model", weights(cvae)), ("check", pairs(cvae))):
    content = tensors.content(arrays, {})
    (tmp_path / f"{name}.safetensors").write_bytes(content)
  return tmp_path


def imported(files, data, **choices):
  return import_weights.write(
    configs.load(CVAE, WIDTHS | {"data.path": str(data)}),
    files / "model.safetensors",
    files / "names.json",
    files / "export",
    formats=["safetensors"],
    **choices,
  )


def test_an_import_is_an_export_that_loads_like_any_other(files, cvae, data):
  compared = files / "check.safetensors"
  lines = imported(files, data, compare=compared, steps=900)
  assert lines[0].startswith("decode.image: within")
  assert "from another program" in (files / "export/README.md").read_text()
  run = runs.load(files / "export")
  known = pairs(cvae)
  found = run.decode(known["decode.z"], run.conditions.encode([3, 1, 4, 9]))
  np.testing.assert_allclose(found, known["decode.image"], atol=1e-5)


def test_outputs_that_are_not_the_other_programs_stop_the_import(files, data):
  wrong = TABLE | {"encoder.dense_0": "fc1"}  # the class is not first here
  (files / "names.json").write_text(json.dumps(wrong))
  with pytest.raises(RunError, match=r"encode.mean is .* away from the other"):
    imported(files, data, compare=files / "check.safetensors")
  assert not (files / "export").exists()
  assert "nothing was compared" in imported(files, data)[0]


def test_a_file_that_may_hold_code_is_not_read(files):
  shutil.copy(files / "model.safetensors", files / "model.pt")
  with pytest.raises(RunError, match="other weight files may hold code"):
    import_weights.read(files / "model.pt")
