"""Arrays of .safetensors files of other programs."""

import json

import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import weight_files
from cvae_jax.host import tensors
from cvae_jax.host.files import DamagedFile


def write(path, **entries):
  """Write {name: (type, shape, bytes)} as the format says."""
  header = {}
  body = b""
  for name, (kind, shape, content) in entries.items():
    ends = [len(body), len(body) + len(content)]
    header[name] = {"dtype": kind, "shape": shape, "data_offsets": ends}
    body += content
  text = json.dumps(header).encode()
  path.write_bytes(len(text).to_bytes(8, "little") + text + body)
  return path


KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_each_type_are_those_that_the_format_s_own_package_writes(
  kind, tmp_path
):
  package = pytest.importorskip("safetensors.numpy")
  array = np.arange(6).reshape(2, 3).astype(kind)
  package.save_file({"a": array}, tmp_path / "a.safetensors")
  found = weight_files.read(tmp_path / "a.safetensors")["a"]
  assert found.dtype == array.dtype
  np.testing.assert_array_equal(found, array)


def test_bfloat16_becomes_float32(tmp_path):
  values = np.array([[1.0, -2.5], [0.0078125, 3e38]], np.float32)
  upper = (values.view(np.uint32) >> 16).astype("<u2")
  exact = (upper.astype(np.uint32) << 16).view(np.float32)
  path = write(tmp_path / "a.safetensors", a=("BF16", [2, 2], upper.tobytes()))
  found = tensors.read(path)[0]["a"]
  np.testing.assert_array_equal(found, exact)
  np.testing.assert_allclose(found, values, rtol=2**-7)


def test_an_unknown_type_and_a_cut_file_are_named(tmp_path):
  path = write(tmp_path / "a.safetensors", a=("F8_E4M3", [2], b"ab"))
  with pytest.raises(
    DamagedFile, match="is of type F8_E4M3; expected F64, F32"
  ):
    tensors.read(path)
  path.write_bytes(path.read_bytes()[:20])
  with pytest.raises(DataError, match=r"a\.safetensors is damaged"):
    weight_files.read(path)
