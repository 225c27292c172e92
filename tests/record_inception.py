"""Records features, FID and KID of torch-fidelity's own Inception.

Run in an environment of its own, which no part of the project needs:

    pip install torch torchvision torch-fidelity==0.4.0
    python -m tests.record_inception > tests/inception.json

The weights are numbers of a formula, not the published ones. The network has
a sixteenth of the published widths and reads images of 107 pixels a side, so
that it is quick; its layers, paddings and poolings are torch-fidelity's. The
shapes of all layers are of the network in full.
"""

import base64
import hashlib
import io
import json
from unittest import mock

import numpy as np

NARROW = 16
SIDE = 107  # so that the last maps have 2×2 pixels, and poolings differ
FOLDED = (
  ("weight", 0.8, 1.2),
  ("bias", -0.2, 0.2),
  ("running_mean", -0.2, 0.2),
)


def numbers(name, shape, low, high):
  """Return float32 numbers in [low, high) that name and place decide."""
  seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
  x = (np.arange(np.prod(shape), dtype=np.uint64) + seed) % 2**32
  for _ in range(2):  # a hash of 32-bit integers
    x = (x ^ (x >> 16)) * 0x45D9F3B % 2**32
  x = x ^ (x >> 16)
  return (low + (high - low) * x / 2**32).astype(np.float32).reshape(shape)


def arrays(kernels):
  """Return a state dict of layers whose kernels [k, k, in, out] are given."""
  found = {"fc.weight": np.zeros((1008, 2048), np.float16)}
  for layer, (*size, before, after) in kernels.items():
    shape = (after, before, *size)
    reach = np.sqrt(6 / np.prod(shape[1:]))  # He's uniform numbers
    name = f"{layer}.conv.weight"
    found[name] = numbers(name, shape, -reach, reach)
    for part, low, high in (*FOLDED, ("running_var", 0.5, 1.5)):
      name = f"{layer}.bn.{part}"
      found[name] = numbers(name, (after,), low, high)
  return found


def images():
  """Return noise and shades [2, 120, 35, 3], to be shrunk and enlarged."""
  noise = numbers("noise", (120, 35, 3), 0, 256)
  shades = numbers("shades", (12, 7, 3), 0, 256).repeat(10, 0).repeat(5, 1)
  return np.stack([noise, shades]).astype(np.uint8)


def points():
  """Return two sets of vectors [40, 16], to compare."""
  one, other = (numbers(name, (40, 16), 0, 1) for name in ("one", "other"))
  return one, other**2


def network(module, torch, narrow):
  """Build torch-fidelity's network, without weights."""

  class Empty(module.FeatureExtractorInceptionV3):
    def load_state_dict(self, state):
      pass

  class Convolution(torch.nn.Conv2d):
    def __init__(self, before, after, **how):
      before = before if before == 3 else before // narrow
      super().__init__(before, after // narrow, **how)

  class Norm(torch.nn.BatchNorm2d):
    def __init__(self, width, **how):
      super().__init__(width // narrow, **how)

  with (
    mock.patch.object(torch.nn, "Conv2d", Convolution),
    mock.patch.object(torch.nn, "BatchNorm2d", Norm),
    mock.patch.object(torch, "load", return_value={}),
  ):
    return Empty("narrow", ["2048"], feature_extractor_weights_path="none")


def kernels(net):
  """Return {layer: kernel's shape [k, k, in, out]}."""
  return {
    name.removesuffix(".conv.weight"): [*value.shape[2:], *value.shape[1::-1]]
    for name, value in net.state_dict().items()
    if name.endswith(".conv.weight")
  }


def files(torch):
  """Return PyTorch's own files of a small state dict, in both formats."""
  base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
  state = torch.nn.Linear(2, 1).state_dict()  # an OrderedDict with metadata
  state["weight"] = torch.nn.Parameter(torch.tensor([[0.5, -2.0]]))
  state["bias"] = torch.tensor([7], dtype=torch.int64)
  state["part"] = base.T[1:, :2]  # with an offset, transposed
  found = {}
  for name, new in (("archive", True), ("older", False)):
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=new)
    found[name] = base64.b64encode(buffer.getvalue()).decode()
  return found


def record():
  """Return what torch-fidelity makes of all this, as JSON types."""
  import torch
  import torch_fidelity
  from torch_fidelity import (
    feature_extractor_inceptionv3 as module,
    metric_fid,
    metric_kid,
  )

  shapes = kernels(network(module, torch, 1))
  module.FeatureExtractorInceptionV3.INPUT_IMAGE_SIZE = SIDE
  net = network(module, torch, NARROW)
  state = {k: torch.from_numpy(v) for k, v in arrays(kernels(net)).items()}
  del state["fc.weight"]
  gaps = torch.nn.Module.load_state_dict(net, state, strict=False)
  assert not gaps.unexpected_keys
  rest = ("fc.weight", "fc.bias", "num_batches_tracked")
  assert all(name.endswith(rest) for name in gaps.missing_keys)
  features = net(torch.from_numpy(images()).permute(0, 3, 1, 2))[0]
  sets = [torch.from_numpy(x).to(torch.float64) for x in points()]
  moments = [metric_fid.fid_features_to_statistics(x) for x in sets]
  fid = metric_fid.fid_statistics_to_metric(*moments, verbose=False)
  kid = metric_kid.kid_features_to_metric(
    *sets, kid_subsets=1, kid_subset_size=40, rng_seed=0, verbose=False
  )
  return {
    "torch_fidelity": torch_fidelity.__version__,
    "shapes": shapes,
    "features": features.tolist(),
    "fid": fid[metric_fid.KEY_METRIC_FID],
    "kid": kid[metric_kid.KEY_METRIC_KID_MEAN],
    "files": files(torch),
  }


if __name__ == "__main__":
  print(json.dumps(record()))
