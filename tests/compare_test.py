"""AE, VAE, GAN, WGAN-GP: counts, losses in NumPy, players, resumed runs."""

import json

import jax
import numpy as np
import pytest

from benchmarks import equal_runs
from cvae_jax import config as configs, figures, pages, runs, train
from cvae_jax.loop import begin, job
from cvae_jax.loop.folder import folders
from cvae_jax.measures import ledger, table
from cvae_jax.method import update
from tests import arithmetic as a, sharing, small as small_runs

pytestmark = pytest.mark.usefixtures("plain_convolutions")
KEY = jax.random.key(0)
SHAPE = (8, 8, 3)
BATCH = 6
LATENTS = 3
COUNTS = {  # batch normalisation counts 4 a channel
  ("ae", 128): {"encoder": 12_200_640, "decoder": 12_208_899},
  ("ae", 512): {"encoder": 15_346_752, "decoder": 15_354_627},
  ("vae", 128): {"encoder": 13_249_344, "decoder": 12_208_899},
  ("vae", 512): {"encoder": 19_541_568, "decoder": 15_354_627},
  ("gan", 128): {"generator": 12_208_899, "critic": 11_160_129},
  ("gan", 512): {"generator": 15_354_627, "critic": 11_160_129},
}


def small(variant, **changes):
  """Loads a config for 8 × 8 pixels, two layers a network."""
  nets = ("critic", "generator") if "gan" in variant else ("encoder", "decoder")
  trunk, decoder = (f"model.{net}" for net in nets)
  own = {
    "data.image_shape": SHAPE,
    "batch_size": BATCH,
    "model.latents": LATENTS,
    f"{trunk}.features": (4, 5),
    f"{decoder}.map": (2, 2, 5),
    f"{decoder}.features": (4, 3),
  }
  changes = {k.replace("__", "."): v for k, v in changes.items()}
  return configs.load(f"configs/compare.py:{variant},smoke", own | changes)


def tiny(variant, trunk, decoder, **changes):
  """Loads a config for drawn faces, a layer a network: quick to compile."""
  nets = {
    "data__image_shape": (16, 16, 3),
    f"model__{trunk}__features": (4,),
    f"model__{decoder}__map": (8, 8, 4),
    f"model__{decoder}__features": (3,),
  }
  return small(variant, **nets, **changes)


def make_batch(seed=1):
  rng = np.random.default_rng(seed)
  return {
    "image": rng.integers(0, 256, (BATCH, *SHAPE), np.uint8),
    "condition": np.zeros((BATCH, 0), np.float32),
  }


def float64(state):
  """Return (parameters, statistics) of a state."""
  return jax.tree.map(np.float64, (state.params, state.model_state))


def unmoved(before, after):
  """Tells of each leaf whether all of it stayed."""
  return jax.tree.map(np.array_equal, before, after)


def key_of(player, step=0):
  return jax.random.fold_in(jax.random.fold_in(KEY, step), player)


def trunk(image, params, stats=None, seen=None, layer=False, slope=0.2):
  """Return the maps of an image, flat; by the batch's statistics or stats."""
  x = a.conv(image, params["conv_0"]["kernel"], 2) + params["conv_0"]["bias"]
  x = a.conv(a.leaky(x, slope), params["conv_1"]["kernel"], 2)
  if "norm" not in params["conv_1"]:
    return a.leaky(x + params["conv_1"]["bias"], slope)
  scale = params["conv_1"]["norm"]
  if layer:
    mean, var = (f(x, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.var))
    x = (x - mean) / np.sqrt(var + 1e-5) * scale["scale"] + scale["bias"]
  else:
    known = stats and stats["conv_1"]["norm"]
    x, mean, var = a.norm(x, scale, known, epsilon=1e-5)
    if seen is not None:
      seen.append({"mean": mean, "var": var})
  return a.leaky(x, slope)


def decode(z, params, stats=None):
  """Return the logits of z."""

  def norm(x, *path):
    layer = params
    known = stats
    for name in path:
      layer = layer[name]
      known = known and known[name]
    return a.relu(a.norm(x, layer, known, epsilon=1e-5)[0])

  x = norm(a.dense(z, params["dense"]).reshape(-1, 2, 2, 5), "norm")
  x = a.transposed(x, params["conv_0"]["kernel"], 2)
  x = norm(x, "conv_0", "norm")
  last = params["conv_1"]
  return a.transposed(x, last["kernel"], 2) + last["bias"]


def autoencoded(state, image, noise, config, train):
  """Computes the terms [B] of the loss and the encoder's batch statistics."""
  params, stats = float64(state)
  of = {} if train else stats
  seen = []
  x = trunk(image, params["encoder"], of.get("encoder"), seen)
  z = a.dense(x, params["encoder"]["mean"])
  kl = 0
  if config.model.variational:
    logvar = a.dense(x, params["encoder"]["logvar"])
    kl = a.kl(z, logvar)
    z = z + np.exp(logvar / 2) * noise
  logits = decode(z, params["decoder"], of.get("decoder")).reshape(BATCH, -1)
  flat = image.reshape(BATCH, -1)
  bce = a.bernoulli(flat, logits)
  mse = ((flat - a.sigmoid(logits)) ** 2).mean(-1)
  pixels, latents = (
    {"sum": 1, "mean": size}[how]
    for how, size in zip(config.loss.reduction, (192, 3), strict=True)
  )
  terms = {
    "bce": bce,
    "mse": mse,
    "psnr": -10 * np.log10(mse),
    "loss": bce / pixels + config.loss.beta * kl / latents,
  }
  if config.model.variational:
    terms |= {"kl": kl, "elbo": -bce - kl}
  return terms, seen


@pytest.mark.parametrize(("name", "latent"), COUNTS)
def test_parameter_counts_are_the_table_s(name, latent):
  config = configs.load(f"configs/compare.py:{name},latent={latent}")
  state = jax.eval_shape(configs.resolve(config).init, KEY)
  found = {
    branch: sum(
      leaf.size
      for tree in (state.params[branch], state.model_state[branch])
      for leaf in jax.tree.leaves(tree)
    )
    for branch in state.params
  }
  assert found == COUNTS[name, latent]


@pytest.mark.parametrize("size", [64, 128])
def test_smaller_images_take_fewer_layers_between_them_and_4_by_4(size):
  config = configs.load(f"configs/compare.py:gan,size={size}")
  system = configs.resolve(config)
  state = jax.eval_shape(system.init, KEY)
  assert state.params["critic"]["score"]["kernel"].shape == (8192, 1)
  z = jax.ShapeDtypeStruct((2, 128), np.float32)
  drawn = jax.eval_shape(system.decode, state, z, None)
  assert drawn.shape == (2, size, size, 3)


def test_a_vae_s_terms_and_statistics_are_numpy_s():
  config = small("vae,mean,beta=4")
  system = configs.resolve(config)
  state = small_runs.drawn(system)
  batch = make_batch()
  step = jax.jit(system.step)
  after, metrics = jax.device_get(step(state, batch, KEY, np.int32(0)))
  image = batch["image"] / 255.0
  noise = np.float64(jax.random.normal(key_of(0), (BATCH, LATENTS)))
  terms, seen = autoencoded(state, image, noise, config, train=True)
  assert set(metrics) == {f"model/{n}" for n in (*terms, "gradient_norm")}
  for name, term in terms.items():
    np.testing.assert_allclose(
      metrics[f"model/{name}"], term.mean(), rtol=2e-5, err_msg=name
    )
  old, new = (
    s.model_state["encoder"]["conv_1"]["norm"] for s in (state, after)
  )
  for name, value in seen[0].items():
    expected = a.moved(np.float64(old[name]), [value], momentum=0.9)
    np.testing.assert_allclose(new[name], expected, rtol=1e-5)
  assert (after.step, step._cache_size()) == (1, 1)
  assert not any(jax.tree.leaves(unmoved(state.params, after.params)))


@pytest.mark.parametrize("variant", ["ae", "vae"])
def test_evaluation_uses_the_running_statistics(variant):
  config = small(variant)
  system = configs.resolve(config)
  state = small_runs.drawn(system)
  batch = make_batch()
  found = jax.jit(system.evaluate)(state, batch, KEY)
  noise = np.float64(jax.random.normal(KEY, (BATCH, LATENTS)))
  image = batch["image"] / 255.0
  terms, _ = autoencoded(state, image, noise, config, train=False)
  for name, term in terms.items():
    np.testing.assert_allclose(found[name], term, rtol=2e-5, err_msg=name)


def made(params, key):
  """Return what a generator makes of a batch's latents, by the batch."""
  z = np.float64(jax.random.normal(key, (BATCH, LATENTS)))
  return a.sigmoid(decode(z, params["generator"]))


def score(image, critic, layer, seen=None, slope=0.2):
  maps = trunk(image, critic, seen=seen, layer=layer, slope=slope)
  return a.dense(maps, critic["score"])[:, 0]


def slopes(fn, x, width=1e-5):
  """Return the gradient of fn: [N, ...] → [N] at each x, by differences."""
  size = x[0].size
  moves = width * np.eye(size).reshape(size, *x.shape[1:])
  return np.stack(
    [(fn(one + moves) - fn(one - moves)) / (2 * width) for one in x]
  )


def penalty(critic, real, fake, key, slope=0.2):
  share = np.float64(jax.random.uniform(key, (BATCH, 1, 1, 1)))
  between = share * real + (1 - share) * fake
  found = slopes(lambda x: score(x, critic, True, slope=slope), between)
  return 10 * (np.linalg.norm(found, axis=-1) - 1) ** 2


def test_a_wgan_gp_s_terms_are_numpy_s_and_its_generator_moves_in_turn():
  system = configs.resolve(small("wgan_gp", optim__critic_steps=2))
  start = small_runs.drawn(system)
  step = jax.jit(system.step)
  batch = make_batch()
  first, metrics = jax.device_get(step(start, batch, KEY, np.int32(0)))
  params, _ = float64(start)
  draw, mix = jax.random.split(key_of(0))
  real = batch["image"] / 255.0
  fake = made(params, draw)
  on_real, on_fake = (score(x, params["critic"], True) for x in (real, fake))
  steep = penalty(params["critic"], real, fake, mix)
  expected = {
    "real": on_real,
    "fake": on_fake,
    "gap": on_real - on_fake,
    "penalty": steep,
    "loss": on_fake - on_real + steep,
  }
  for name, term in expected.items():
    np.testing.assert_allclose(
      metrics[f"critic/{name}"], term.mean(), rtol=2e-5, atol=1e-6, err_msg=name
    )
  assert metrics["generator/moves"] == 0
  same = unmoved(start.params, first.params)
  assert jax.tree.all(same["generator"])
  assert same["critic"]["score"].pop("bias")  # only differences of scores count
  assert not any(jax.tree.leaves(same["critic"]))
  assert jax.tree.all(unmoved(start.model_state, first.model_state))
  second, metrics = jax.device_get(step(first, batch, KEY, np.int32(1)))
  assert metrics["generator/moves"] == 1
  fake = made(float64(first)[0], key_of(1, step=1))
  on_fake = score(fake, float64(second)[0]["critic"], True)  # it moved before
  np.testing.assert_allclose(
    metrics["generator/loss"], -on_fake.mean(), rtol=2e-5, atol=1e-6
  )
  assert not any(
    jax.tree.leaves(unmoved(first.params, second.params)["generator"])
  )
  old, new = (s.model_state["generator"]["norm"] for s in (first, second))
  assert all((old[k] != new[k]).all() for k in ("mean", "var"))
  assert step._cache_size() == 1


def test_a_gan_s_losses_are_numpy_s_and_its_players_keep_their_statistics():
  system = configs.resolve(small("gan"))
  state = small_runs.drawn(system)
  batch = make_batch()
  after, metrics = jax.device_get(
    jax.jit(system.step)(state, batch, KEY, np.int32(0))
  )
  params, _ = float64(state)
  seen = []
  draw = jax.random.split(key_of(0))[0]
  on_real, on_fake = (
    score(x, params["critic"], False, seen)
    for x in (batch["image"] / 255.0, made(params, draw))
  )
  loss = a.cross_entropy(on_real, True) + a.cross_entropy(on_fake, False)
  np.testing.assert_allclose(metrics["critic/loss"], loss.mean(), rtol=2e-5)
  on_fake = score(made(params, key_of(1)), float64(after)[0]["critic"], False)
  loss = a.cross_entropy(on_fake, True)
  np.testing.assert_allclose(metrics["generator/loss"], loss.mean(), rtol=2e-5)
  assert "generator/moves" not in metrics
  old, new = (s.model_state["critic"]["conv_1"]["norm"] for s in (state, after))
  for name in ("mean", "var"):  # by real and made images, not by the generator
    values = [one[name] for one in seen]
    expected = a.moved(np.float64(old[name]), values, momentum=0.9)
    np.testing.assert_allclose(new[name], expected, rtol=1e-5)
  found = jax.jit(system.evaluate)(state, batch, KEY)
  assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
    ("real", "fake", "gap", "critic", "generator"), (BATCH,)
  )
  _, stats = float64(state)
  maps = trunk(batch["image"] / 255.0, params["critic"], stats["critic"])
  expected = a.dense(maps, params["critic"]["score"])[:, 0]
  np.testing.assert_allclose(found["real"], expected, rtol=2e-5, atol=1e-6)


def test_a_smoothed_label_and_r1_are_numpy_s():
  config = small("gan,smooth,r1")
  assert (config.loss.label_smoothing, config.loss.r1) == (0.1, 10.0)
  system = configs.resolve(config)
  state = small_runs.drawn(system)
  batch = make_batch()
  metrics = jax.device_get(
    jax.jit(system.step)(state, batch, KEY, np.int32(0))[1]
  )
  params, _ = float64(state)
  real = batch["image"] / 255.0
  on_real, on_fake = (
    score(x, params["critic"], False)
    for x in (real, made(params, jax.random.split(key_of(0))[0]))
  )
  slope = slopes(lambda x: score(x, params["critic"], False), real)
  steep = 5 * (slope**2).sum(axis=-1)
  np.testing.assert_allclose(metrics["critic/r1"], steep.mean(), rtol=2e-4)
  loss = 0.9 * a.cross_entropy(on_real, True)
  loss += 0.1 * a.cross_entropy(on_real, False)
  loss += a.cross_entropy(on_fake, False) + steep
  np.testing.assert_allclose(metrics["critic/loss"], loss.mean(), rtol=2e-4)


def test_a_penalty_s_gradient_goes_right_through_the_fast_convolutions(
  monkeypatch,
):
  players = {}
  make_step = update.make_step
  monkeypatch.setattr("cvae_jax.nets.fast.ops.fast_on_cpu", lambda: True)
  monkeypatch.setattr(
    update, "make_step", lambda p: players.update(p) or make_step(p)
  )
  # Without its kinks, across which no difference tells a slope.
  system = configs.resolve(small("wgan_gp", model__critic__slope=1.0))
  state = small_runs.drawn(system)
  batch = make_batch()

  def loss(critic):
    params = {**state.params, "critic": critic}
    return players["critic"].loss(params, state.model_state, batch, KEY, 0)[0]

  slope = jax.jit(jax.grad(loss))(state.params["critic"])
  params, _ = float64(state)
  draw, mix = jax.random.split(KEY)
  real = batch["image"] / 255.0
  fake = made(params, draw)

  def in_numpy(critic):
    on_real, on_fake = (score(x, critic, True, slope=1) for x in (real, fake))
    return (on_fake - on_real + penalty(critic, real, fake, mix, 1)).mean()

  rng = np.random.default_rng(3)
  width = 1e-4
  for _ in range(3):
    way = jax.tree.map(lambda p: rng.normal(0, 1, p.shape), params["critic"])
    there, back = (
      in_numpy(jax.tree.map(np.add, params["critic"], move))
      for move in (
        jax.tree.map(lambda w: width * w, way),
        jax.tree.map(lambda w: -width * w, way),
      )
    )
    expected = (there - back) / (2 * width)
    found = sum(
      float((g * w).sum())
      for g, w in zip(*map(jax.tree.leaves, (slope, way)), strict=True)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.usefixtures("data")  # compiles each program once
def test_init_from_brings_a_branch_s_batch_statistics(tmp_path):
  config = tiny("ae", "encoder", "decoder")
  with sharing.programs():
    state = train.train_and_evaluate(config, tmp_path)
  zeros = jax.tree.map(np.zeros_like, state)
  taken = begin.borrow(zeros, str(tmp_path)).model_state
  jax.tree.map(np.testing.assert_array_equal, taken, state.model_state)
  taken = begin.borrow(zeros, f"{tmp_path}:decoder").model_state
  expected = {
    "encoder": zeros.model_state["encoder"],
    "decoder": state.model_state["decoder"],
  }
  assert np.any(jax.tree.leaves(expected["decoder"])[0])
  jax.tree.map(np.testing.assert_array_equal, taken, expected)


@pytest.mark.usefixtures("data")  # compiles each program once
def test_two_players_resume_exactly(tmp_path):
  # The first part ends between two moves of the generator.
  def go(folder, epochs):
    changes = {"optim__critic_steps": 3, "epochs": epochs, "log_every": 3}
    config = tiny("gan", "critic", "generator", **changes)
    train.train_and_evaluate(config, tmp_path / folder)

  with sharing.programs():
    go("whole", 2)
    go("stopped", 1)
    go("stopped", 2)
  same = equal_runs.differences(tmp_path / "whole", tmp_path / "stopped")
  assert same == []


@pytest.mark.usefixtures("data")
def test_an_autoencoder_stops_by_its_validation_loss_and_hands_out_the_best(
  tmp_path,
):
  changes = {"optim__lr": 0.1, "log_every": 400, "checkpoint_every": 400}
  config = tiny("ae", "encoder", "decoder", epochs=40, **changes)
  state = train.train_and_evaluate(config, tmp_path)
  rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
  seen = {row["step"]: row["loss"] for row in rows if row["split"] == "test"}
  best = min(seen, key=seen.get)
  waited = list(seen)
  assert len(seen) < 40
  assert waited.index(best) == len(seen) - 3  # patience 2
  assert state.step == best
  run = runs.load(tmp_path)
  assert jax.tree.all(unmoved(run.state.params, state.params))
  shown = table.collect(tmp_path).iloc[0]
  assert shown["test loss"] == seen[best]
  assert shown["test loss"] < seen[waited[-1]]
  entry = ledger.Entry(ledger.write(folders.Folder(tmp_path), tmp_path / "l"))
  assert entry.result("test")["step"] == best
  assert run._scores()["step"] == str(best)
  drawn = figures.draw(run)
  assert {name: images.shape[:2] for name, images in drawn.items()} == {
    "prior": (8, 8),
    "interpolation": (6, 9),
    "reconstruction": (2, 4),
    "between": (2, 9),
  }
  again = run.sample(np.zeros((64, 0)), seed=0)
  np.testing.assert_array_equal(drawn["prior"].reshape(again.shape), again)
  q = run.encode(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 0)))
  assert (q.logvar == -np.inf).all()  # a code is a point


@pytest.mark.parametrize(
  ("variant", "message"),
  [
    ("vae,size=32", "size=32: one of 256, 128, 64"),
    ("gan,beta=2", "beta is for vae; found gan"),
    ("gan,mean", "mean is for ae, vae; found gan"),
    ("ae,gan", "one system at a time, found ae and gan"),
  ],
)
def test_variants_that_are_not_there_are_refused(variant, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.load(f"configs/compare.py:{variant}")


@pytest.mark.parametrize(
  ("variant", "change", "message"),
  [
    ("vae", {"loss.reduction": ("sum", "max")}, "found .*'max'"),
    ("gan", {"loss.kind": "hinge"}, "logistic, wasserstein; found 'hinge'"),
    ("gan", {"optim.critic_steps": 0}, "critic_steps: found 0; expected 1"),
    ("gan", {"loss.penalty": 10.0}, "'layer' or ''; found 'batch_0.9'"),
    ("gan", {"loss.r1": 10.0}, "loss.r1 is on .* found 'batch_0.9'"),
  ],
)
def test_losses_that_make_no_sense_are_refused(variant, change, message):
  with pytest.raises(ValueError, match=message):
    configs.resolve(configs.load(f"configs/compare.py:{variant}", change))


GLOROT = "one of glorot, he, he_transposed, normal"


@pytest.mark.parametrize(
  ("net", "change", "known"),
  [
    ("critic", {"norm": "batch_9"}, "norm is one of batch, batch_0.9, layer"),
    ("generator", {"norm": ""}, "norm is one of batch, batch_0.9, layer"),
    (
      "critic",
      {"initialiser": "nomal"},
      GLOROT,
    ),
    (
      "generator",
      {"initialiser": "nomal"},
      GLOROT,
    ),
  ],
)
def test_a_misspelt_name_in_a_network_is_refused_with_those_there_are(
  net, change, known
):
  ((key, name),) = change.items()
  config = small("gan", **{f"model__{net}__{key}": name})
  with pytest.raises(ValueError, match=f"{known}; found '{name}'"):
    jax.eval_shape(configs.resolve(config).init, KEY)


def test_a_stop_by_a_distance_that_is_not_measured_names_the_remedy():
  config = tiny("gan,stop", "critic", "generator")
  with pytest.raises(
    configs.ConfigError, match=r"--config\.distance\.images=n"
  ):
    job.prepare(config)
  config.distance.images = 4
  job.prepare(config)


def test_the_sweep_is_the_ablation_s_cells():
  cells = pages.variants("configs/compare.py")
  assert len(set(cells)) == len(cells) == 2 * 3 + 2 * 2 * 3
  found = set()
  for cell in cells:
    config = configs.load(f"configs/compare.py:{cell}")
    assert config.data.image_shape == (64, 64, 3)
    loss = config.loss.to_dict()
    terms = (str(loss.get(name)) for name in ("beta", "reduction", "penalty"))
    found.add((config.system, config.model.latents, *terms))
    assert config.early_stop.metric == ("" if "gan" in cell else "loss")
  assert ("autoencoder", 512, "0.1", "('mean', 'mean')", "None") in found
  assert len(found) == len(cells) - 2  # an ae's loss reads as a vae's at beta 1
