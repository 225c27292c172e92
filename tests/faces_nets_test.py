"""The ladder's networks in NumPy, rung by rung, dropout's places included."""

import jax
import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.method import losses
from cvae_jax.nets import conditional
from cvae_jax.nets.conditional import Decoder, Encoder
from tests import arithmetic as a
from tests.small import drawn

pytestmark = pytest.mark.usefixtures("plain_convolutions")
KEY = jax.random.key(0)
STRIDES = (2, 2, 2, 1)
SMALL = {
  "data.image_shape": (24, 24, 3),
  "model.encoder.features": (4, 5, 6, 7),
  "model.encoder.dense": 8,
  "model.encoder.side": 6,
  "model.encoder.latents": 4,
  "model.decoder.dense": 9,
  "model.decoder.map": (3, 3, 4),
  "model.decoder.features": (5, 4, 6, 3),
}
RUNGS = (1, 4, 5, 6, 7, 8, 9)


def small(variant):
  config = configs.load(f"configs/faces.py:{variant}", SMALL)
  if config.model.encoder.streams:
    config.model.encoder.streams = (3, 2)
  return config


def silu(x):
  return x * a.sigmoid(x)


def joined(*parts):
  return np.concatenate([p.reshape(len(p), -1) for p in parts], -1)


def dropped(key, x, rate):
  """Stands in for dropout: scales, so that its places can be seen."""
  return x if key is None else x * (1 - rate)


class ByHand:
  """A rung of the source's ladder: what each adds is asked of its number."""

  def __init__(self, rung, params, train):
    self.rung = rung
    self.train = train
    self.encoder = params["encoder"]
    self.decoder = params["decoder"]

  def drop(self, x, layer):
    return x * 0.55 if self.train and layer < 3 else x

  def encode(self, x, c):
    net = self.encoder
    maps = []
    h = x
    for i, stride in enumerate(STRIDES):
      layer = net[f"conv_{i}"]
      h = silu(a.conv(h, layer["kernel"], stride) + layer["bias"])
      maps.append(h := self.drop(h, i))
    raw = joined(x, c) if self.rung >= 5 else x
    paths = [a.dense(joined(h, c), net["dense"]), a.dense(raw, net["side"])]
    if self.rung >= 5:
      paths += [a.dense(joined(maps[i], c), net[f"stream_{i}"]) for i in (0, 1)]
    parts = [silu(path) for path in paths] + [c] * (self.rung >= 6)
    heads = [a.dense(joined(*parts), net[name]) for name in ("mean", "logvar")]
    return [np.tanh(h) for h in heads] if self.rung >= 7 else heads

  def decode(self, z, c):
    net = self.decoder
    code = joined(z, c)
    source = code if self.rung >= 9 else z
    h = silu(a.dense(silu(a.dense(code, net["dense_0"])), net["dense_1"]))
    h = h.reshape(-1, 3, 3, 4)
    for i, stride in enumerate(STRIDES):
      if self.rung >= 8:
        h = h + silu(a.dense(source, net[f"shortcut_{i}"])).reshape(h.shape)
      layer = net[f"conv_{i}"]
      h = silu(a.transposed(h, layer["kernel"], stride) + layer["bias"])
      h = self.drop(h, i)
    return h


@pytest.fixture(params=RUNGS, scope="module")
def rung(request):
  """A rung, its config, its system and a state with no zero bias."""
  config = small(f"model={request.param}")
  system = configs.resolve(config)
  return request.param, config, system, drawn(system)


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(1)
  return {
    "image": rng.integers(0, 256, (3, 24, 24, 3), np.uint8),
    "condition": rng.random((3, 5)).astype(np.float32),
  }


def test_means_variances_and_images_are_those_by_hand(rung, batch):
  number, _, system, state = rung
  hand = ByHand(number, state.params, train=False)
  x = batch["image"] / np.float32(255)
  c = batch["condition"]
  q = system.encode(state, x, c)
  expected = hand.encode(x, c)
  np.testing.assert_allclose(q, expected, rtol=1e-4, atol=1e-5)
  z = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
  np.testing.assert_allclose(
    system.decode(state, z, c), hand.decode(z, c), rtol=1e-4, atol=1e-5
  )


def test_dropout_follows_the_source_s_six_layers(rung, batch, monkeypatch):
  number, config, _, state = rung
  monkeypatch.setattr(conditional, "dropout", dropped)
  hand = ByHand(number, state.params, train=True)
  x = batch["image"] / np.float32(255)
  c = batch["condition"]
  params = state.params
  encoder = Encoder(**config.model.encoder)
  decoder = Decoder(**config.model.decoder)
  q = encoder.apply({"params": params["encoder"]}, x, c, KEY)
  np.testing.assert_allclose(q, hand.encode(x, c), rtol=1e-4, atol=1e-5)
  z = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
  found = decoder.apply({"params": params["decoder"]}, z, c, KEY)
  np.testing.assert_allclose(found, hand.decode(z, c), rtol=1e-4, atol=1e-5)


def test_faithful_takes_its_kl_from_a_second_pass_with_other_masks(batch):
  def stepped(variant):
    system = configs.resolve(small(variant))
    state = jax.jit(system.init)(KEY)
    return jax.jit(system.step)(state, batch, KEY, 0)[1]

  one, two = (stepped(f"model=1{name}") for name in ("", ",faithful"))
  assert (
    one["model/weighted_squared_error"] == two["model/weighted_squared_error"]
  )
  assert one["model/kl"] != two["model/kl"]
  assert one["model/kl"] == pytest.approx(two["model/kl"], rel=0.5)


def test_a_second_pass_needs_a_kl_in_closed_form():
  config = small("model=1,faithful")
  with config.unlocked():
    config.prior.name = "mixture"
  with pytest.raises(ValueError, match=r"closed form.*found mixture"):
    configs.resolve(config)


@pytest.mark.parametrize(("model", "expected"), [(1, 0.2929), (4, 0.3937)])
def test_l2_starts_near_the_spec_s_figure(model, expected):
  system = configs.resolve(configs.load(f"configs/faces.py:model={model}"))
  total = jax.jit(lambda key: losses.kernel_l2(system.init(key).params))(KEY)
  assert 0.001 * total == pytest.approx(expected, rel=0.01)
