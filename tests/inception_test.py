"""FID's Inception beside torch-fidelity's own, by recorded numbers."""

import base64
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import weight_files
from cvae_jax.host import tensors
from cvae_jax.measures import fid
from cvae_jax.metrics import frechet, kid, perceptual
from cvae_jax.nets import inception
from tests import record_inception as recording

RECORDED = json.loads(Path(__file__).with_name("inception.json").read_text())


def divide(step):
  """Return a step of the tables with a part of its channels."""
  if isinstance(step, inception.Fork):
    return inception.Fork(tuple(tuple(map(divide, c)) for c in step.chains))
  if isinstance(step, inception.Conv):
    return step._replace(width=step.width // recording.NARROW)
  return step


@pytest.fixture(scope="module")
def narrow():
  """Make the network as narrow as the recorded one; return its weights."""
  blocks = {name: divide(block) for name, block in inception.BLOCKS.items()}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(inception, "STEM", tuple(map(divide, inception.STEM)))
    patch.setattr(inception, "BLOCKS", blocks)
    patch.setattr(inception, "SIDE", recording.SIDE)
    yield recording.arrays(inception.kernel_shapes())


@pytest.fixture
def write(tmp_path):
  """Return a function that writes arrays as a .safetensors file."""

  def write(arrays):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(tensors.content(arrays, {}))
    return path

  return write


def test_the_layers_have_the_published_shapes():
  expected = {k: tuple(v) for k, v in RECORDED["shapes"].items()}
  assert inception.kernel_shapes() == expected
  assert len(expected) == 94


def test_features_are_torch_fidelity_s(narrow, write, monkeypatch):
  monkeypatch.setattr(perceptual, "ROWS", 2)
  found = fid.load(write(narrow)).embed(recording.images())
  expected = np.array(RECORDED["features"])
  assert np.abs(expected[0] - expected[1]).max() > 0.01  # images matter
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_images_are_resized_as_tensorflow_1_did():
  ramp = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
  found = np.asarray(inception.resize(ramp.repeat(2, axis=1), 8))
  # Pixel i lies at i / 2, and beyond the last pixel is the last one.
  np.testing.assert_array_equal(
    found[0, 5, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
  )
  assert found.shape == (1, 8, 8, 1)


def test_fid_and_kid_of_features_are_torch_fidelity_s(monkeypatch):
  one, other = recording.points()
  moments = (frechet.moments([x]) for x in (one, other))
  assert frechet.distance(*moments) == pytest.approx(RECORDED["fid"], rel=1e-9)
  assert kid.distance(one, other) == pytest.approx(RECORDED["kid"], rel=1e-9)
  monkeypatch.setattr(kid, "BLOCK", 7)  # not all pairs fit into memory at once
  assert kid.distance(one, other) == pytest.approx(RECORDED["kid"], rel=1e-9)


@pytest.mark.parametrize("form", ["archive", "older"])
def test_pytorch_s_own_files_are_read_without_pytorch(form, tmp_path):
  path = tmp_path / "small.pth"
  path.write_bytes(base64.b64decode(RECORDED["files"][form]))
  found = weight_files.read(path)
  np.testing.assert_array_equal(found["weight"], [[0.5, -2]])
  assert found["bias"].tolist() == [7]
  assert found["bias"].dtype == np.int64
  whole = np.arange(12).reshape(3, 4)
  np.testing.assert_array_equal(found["part"], whole.T[1:, :2])
  content = path.read_bytes()
  for cut in (0, 9, len(content) // 2, len(content) - 3):
    path.write_bytes(content[:cut])
    with pytest.raises(DataError, match=r"small\.pth: damaged"):
      weight_files.read(path)


class Code:
  """Runs when it is unpickled."""

  def __reduce__(self):
    return print, ("code ran",)


def test_a_file_that_holds_code_is_refused_and_nothing_runs(tmp_path, capsys):
  path = tmp_path / "code.pth"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("x/data.pkl", pickle.dumps({"weight": Code()}))
  with pytest.raises(DataError, match=r"asks for builtins\.print"):
    weight_files.read(path)
  path.write_bytes(pickle.dumps(Code()))
  with pytest.raises(DataError, match=r"asks for builtins\.print"):
    weight_files.read(path)
  assert capsys.readouterr().out == ""


def test_another_file_is_refused_in_one_line(narrow, write, tmp_path):
  def refused(arrays, match):
    with pytest.raises(DataError, match=match) as error:
      fid.load(write(arrays))
    assert "\n" not in str(error.value)

  with pytest.raises(DataError, match=r"no weights of Inception in .*absent"):
    fid.load(tmp_path / "absent.pth")
  # torchvision's Inception-v3 has the same layers, and other weights.
  other = {"fc.weight": np.zeros((1000, 2048), np.float16)}
  refused(
    narrow | other, r"fc\.weight of shape .1008, 2048., found .1000, 2048"
  )
  refused({"conv1.weight": np.zeros(3)}, "found none")
  layer = "Mixed_7c.branch_pool"
  norm = f"{layer}.bn.running_var"
  refused(narrow | {norm: np.ones(3)}, rf"expected {norm} of shape \(12,\)")
  short = {k: v for k, v in narrow.items() if k != f"{layer}.conv.weight"}
  refused(short, rf"layer {layer} has the kernel None, expected \(1, 1, 128")
