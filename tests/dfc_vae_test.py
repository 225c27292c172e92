"""The DFC-VAE: counts, its loss in NumPy, statistics, frozen features."""

import json
import shutil

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, figures, runs, train
from cvae_jax.data.files import vgg_files
from cvae_jax.loop.folder import restore
from cvae_jax.loop.folder.checkpoint import CheckpointError
from cvae_jax.measures import score
from cvae_jax.nets import features
from tests import arithmetic as a, small as small_runs

pytestmark = pytest.mark.usefixtures("plain_convolutions")
KEY = jax.random.key(0)
SMALL = {
  "data.image_shape": (16, 16, 3),
  "batch_size": 6,
  "model.encoder.features": (4, 5),
  "model.encoder.latents": 3,
  "model.decoder.map": (4, 4, 4),
  "model.decoder.features": (5, 3),
}
TAPS = ("relu1_1", "relu2_1")


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
  for room in (features, vgg_files):
    monkeypatch.setattr(room, "WIDTHS", (2, 3, 4, 5, 6))


@pytest.mark.parametrize(
  ("field", "known"),
  [
    ("decoder.edge", "edge is one of zero, replicate"),
    ("features.preprocessing", "preprocessing is one of torchvision, caffe"),
  ],
)
def test_a_misspelt_name_is_refused_with_those_there_are(field, known):
  config = small(**{f"model.{field}": "zeros"})
  with pytest.raises(ValueError, match=f"{known}.*; found 'zeros'"):
    jax.eval_shape(configs.resolve(config).init, KEY)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"pretrained.features.reader": "vgg"}, "no reader of weights 'vgg'"),
    ({"model.features.taps": ()}, "pretrained.features: .* no such branch"),
  ],
)
def test_weights_that_have_no_place_are_refused(change, message):
  config = configs.load("configs/zoo_faces.py:dfc_vae", SMALL | change)
  with pytest.raises(ValueError, match=message):
    restore.load_pretrained(configs.resolve(config), config)


def small(variant="", **changes):
  changes = {k.replace("__", "."): v for k, v in changes.items()}
  path = f"configs/zoo_faces.py:dfc_vae,smoke{variant}"
  return configs.load(path, SMALL | changes)


def started(config):
  """Return the system and a state whose statistics and biases are not 0."""
  system = configs.resolve(config)
  return system, small_runs.drawn(system)


def make_batch(size=6):
  rng = np.random.default_rng(1)
  return {"image": rng.integers(0, 256, (size, 16, 16, 3), np.uint8)}


def forward(state, image, noise, config, train):
  """Computes (loss terms, statistics of conv_0's layers), in float64."""
  params, stats = jax.tree.map(np.float64, (state.params, state.model_state))
  slope = config.model.encoder.slope
  seen = {}

  def norm(x, net, layer):
    known = None if train else stats[net][layer]["norm"]
    y, mean, var = a.norm(x, params[net][layer]["norm"], known)
    seen[net, layer] = {"mean": mean, "var": var}
    return a.leaky(y, slope)

  x = image
  for layer in ("conv_0", "conv_1"):
    x = a.conv(x, params["encoder"][layer]["kernel"], 2)
    x = norm(x, "encoder", layer)
  mean, logvar = (a.dense(x, params["encoder"][n]) for n in ("mean", "logvar"))
  kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(-1)
  z = mean + np.exp(logvar / 2) * noise
  x = a.relu(a.dense(z, params["decoder"]["dense"])).reshape(-1, 4, 4, 4)
  edge = {"zero": "constant", "replicate": "edge"}[config.model.decoder.edge]
  x = a.upsampled(x, params["decoder"]["conv_0"]["kernel"], edge)
  x = norm(x, "decoder", "conv_0")
  last = params["decoder"]["conv_1"]
  out = a.sigmoid(a.upsampled(x, last["kernel"], edge) + last["bias"])
  terms = {"weighted_kl": config.loss.kl * kl}
  if config.model.features.taps:
    plain = config.model.features.preprocessing == "none"
    pair = (vgg(params["features"], x, plain) for x in (image, out))
    for tap, (one, two) in zip(TAPS, zip(*pair, strict=True), strict=True):
      terms[tap] = config.loss.weight * ((one - two) ** 2).mean((1, 2, 3))
  if config.loss.pixel:
    squares = ((image - out) ** 2).sum((1, 2, 3))
    terms["weighted_squared_error"] = config.loss.pixel * squares
  terms["loss"] = sum(terms.values())
  terms["kl"] = kl
  return terms, seen, out


def vgg(params, x, plain):
  if not plain:
    x = (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]

  def layer(name, x):
    return a.relu(a.conv(x, params[name]["kernel"]) + params[name]["bias"])

  first = layer("conv1_1", x)
  x = layer("conv1_2", first).reshape(-1, 8, 2, 8, 2, 2).max((2, 4))
  return first, layer("conv2_1", x)


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_are_the_table_s():
  config = configs.load("configs/zoo_faces.py:dfc_vae,layers=pixel")
  state = jax.eval_shape(configs.resolve(config).init, KEY)
  sizes = {
    net: (count(state.params[net]), count(state.model_state[net]))
    for net in state.params
  }
  assert {net: sum(size) for net, size in sizes.items()} == {
    "encoder": 1_510_984,
    "decoder": 802_531,
  }
  assert sum(map(sum, sizes.values())) == 2_313_515
  assert count(state.model_state) == 1_408
  layers = state.params["encoder"] | {"dense": state.params["decoder"]["dense"]}
  assert [count(layers[f"conv_{i}"]["kernel"]) for i in range(4)] == [
    1_536,
    32_768,
    131_072,
    524_288,
  ]
  assert (count(layers["mean"]), count(layers["dense"])) == (409_700, 413_696)


@pytest.mark.parametrize("variant", ["", ",faithful", ",layers=pixel"])
def test_a_step_s_terms_and_statistics_are_numpy_s(variant):
  taps = () if "pixel" in variant else TAPS
  config = small(variant, model__features__taps=taps)
  system, state = started(config)
  batch = make_batch()
  faithful = "faithful" in variant
  step = jax.jit(system.step)
  after, metrics = jax.device_get(step(state, batch, KEY, np.int32(0)))
  key = jax.random.fold_in(jax.random.fold_in(KEY, 0), 0)
  noise = np.float64(jax.random.normal(key, (6, 3)))
  image = batch["image"] / 255.0
  terms, seen, _ = forward(state, image, noise, config, train=not faithful)
  for name, term in terms.items():
    np.testing.assert_allclose(
      metrics[f"model/{name}"], term.mean(), rtol=2e-5, err_msg=name
    )
  if faithful:  # the source never normalises by the batch nor counts
    jax.tree.map(
      np.testing.assert_array_equal, after.model_state, state.model_state
    )
  else:
    for (net, layer), batch_stats in seen.items():
      old, new = (s.model_state[net][layer]["norm"] for s in (state, after))
      for name, value in batch_stats.items():
        expected = a.moved(np.float64(old[name]), [value])
        np.testing.assert_allclose(new[name], expected, rtol=1e-5)
  assert after.step == 1
  for net, params in state.params.items():
    pairs = zip(*map(jax.tree.leaves, (params, after.params[net])), strict=True)
    same = [bool((p == q).all()) for p, q in pairs]
    assert all(same) if net == "features" else not any(same), net


def test_evaluation_uses_the_running_statistics():
  config = small(model__features__taps=TAPS)
  system, state = started(config)
  batch = make_batch(3)
  found = jax.jit(system.evaluate)(state, batch, KEY)
  noise = np.float64(jax.random.normal(KEY, (3, 3)))
  image = batch["image"] / 255.0
  terms, _, out = forward(state, image, noise, config, train=False)
  for name, term in terms.items():
    np.testing.assert_allclose(found[name], term, rtol=2e-5, err_msg=name)
  psnr = -10 * np.log10(((image - out) ** 2).mean((1, 2, 3)))
  np.testing.assert_allclose(found["psnr"], psnr, rtol=1e-5)
  # What an image is encoded to does not depend on those beside it.
  encode = jax.jit(lambda image: system.encode(state, image, None).mean)
  together = encode(np.float32(image))
  alone = encode(np.float32(image[:1]))
  np.testing.assert_allclose(alone, together[:1], atol=1e-6)


def write_weights(path, seed):
  rng = np.random.default_rng(seed)
  before = 3
  named = {}
  for i, name in enumerate(features.layers("vgg16")):
    after = features.WIDTHS[int(name[4]) - 1]
    named[f"conv{i:02d}/kernel"] = rng.normal(0, 0.3, (3, 3, before, after))
    named[f"conv{i:02d}/bias"] = np.zeros(after)
    before = after
  np.savez(path, **named)


@pytest.mark.usefixtures("data")  # compiles each program once
def test_features_stay_out_of_checkpoints_but_are_checked(tmp_path):
  write_weights(tmp_path / "one.npz", 1)
  write_weights(tmp_path / "two.npz", 2)
  run = tmp_path / "run"

  def config(file):
    config = small(model__features__taps=TAPS)
    source = {"reader": "vgg_files", "layout": "torchvision"}
    source |= {"network": "vgg16", "file": str(tmp_path / file)}
    with config.unlocked():
      config.pretrained = {"features": source}
    return config

  state = train.train_and_evaluate(config("one.npz"), run)
  expected = np.load(tmp_path / "one.npz")["conv02/kernel"]
  kernel = state.params["features"]["conv2_1"]["kernel"]
  np.testing.assert_array_equal(kernel, np.float32(expected))
  counters = run / f"checkpoints/{state.step}/counters"
  held = json.loads(next(counters.glob("*")).read_text())["held"]
  assert list(held) == ["features"]
  saved = (run / f"checkpoints/{state.step}/state/_METADATA").read_text()
  assert "encoder" in saved
  assert "features" not in saved
  # The same weights under another name are the same; others are not.
  shutil.copyfile(tmp_path / "one.npz", tmp_path / "copy.npz")
  state = train.train_and_evaluate(config("copy.npz"), run)
  np.testing.assert_array_equal(
    state.params["features"]["conv2_1"]["kernel"], np.float32(expected)
  )
  with pytest.raises(CheckpointError, match="another 'features': SHA-256"):
    train.train_and_evaluate(config("two.npz"), run)
  loaded = runs.load(run)
  assert figures.draw(loaded)["prior"].shape == (10, 10, 16, 16, 3)


@pytest.mark.parametrize(
  ("variant", "message"),
  [
    ("dfc_vae,layers=12", "layers is one of 123, 345, pixel"),
    ("dfc_vae,vgg=11", "vgg 16 or 19"),
    ("dfc_vae,size=128", "size=64"),
    ("caae,size=32", "size=64 or 128"),
    ("caae,size=64,faithful", "this caae is for size=128"),
    ("caae,layers=345", "layers is for dfc_vae; found caae"),
    ("dfc_vae,layers=pixel,vgg=19", "pixel has no VGG; leave vgg and keras"),
    ("caae,dfc_vae", "one system at a time"),
  ],
)
def test_variants_that_are_not_there_are_refused(variant, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.load(f"configs/zoo_faces.py:{variant}")


def test_kinds_of_weights_bring_their_preprocessing_and_scale():
  ours = configs.load("configs/zoo_faces.py:dfc_vae,layers=345")
  assert ours.model.features.taps == ("relu3_1", "relu4_1", "relu5_1")
  assert ours.loss.weight == pytest.approx(0.5 * 57.63**2)
  keras = configs.load("configs/zoo_faces.py:dfc_vae,vgg=19,keras")
  assert keras.model.features.preprocessing == "caffe"
  assert keras.loss.weight == 0.5
  source = configs.load("configs/zoo_faces.py:dfc_vae,faithful")
  assert source.pretrained.features.network == "vgg19"
  assert source.pretrained.features.layout == "keras"
  assert source.model.features.preprocessing == "none"
  assert source.loss.weight == 32


def test_a_pixel_vae_s_scores_need_no_condition(tmp_path):
  config = small(",layers=pixel", model__features__taps=())
  train.train_and_evaluate(config, tmp_path)
  scores = score.score(runs.load(tmp_path), samples=20)
  # Seven steps leave the decoder nearly constant: both are −log p(x | z).
  test = scores["test"]
  assert test["iw_bound"] == pytest.approx(test["elbo"], abs=1.0)
  assert scores["condition_gap_nats"] is None
