"""The judge of all attributes: its heads, and control that it scores."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn.metrics import log_loss

from cvae_jax import config as configs, data as sources, runs, train
from cvae_jax.data.conditions import Conditions
from cvae_jax.loop import evaluate, job
from cvae_jax.loop.feed import Feed
from cvae_jax.loop.folder.run_conditions import attribute_columns
from cvae_jax.loop.folder.run_data import name_arrays
from cvae_jax.loop.meter import Meter
from cvae_jax.measures import cas, control
from cvae_jax.types import Facts, System
from tests import small

pytestmark = pytest.mark.usefixtures("plain_convolutions", "shared_programs")
SIDE = 16
COUNT = 320
KINDS = {
  "smiling": "binary",
  "tags": "multilabel",
  "grade": "ordinal:low<mid<high",
  "turn": "angle",
}
TINY = {
  "model.features": (16,),
  "model.dense": 32,
  "model.dropout": 0.0,
  "epochs": 30,
  "optim.lr": 2e-3,
  "optim.decay": 0.0,
  "loss.weight": 10.0,
}


def table():
  rng = np.random.default_rng(0)
  tags = np.array(["sea", "sky", "sun"])
  return {
    "shape": rng.choice(["circle", "square", "triangle"], COUNT),
    "smiling": rng.choice(["no", "yes"], COUNT),
    "tags": [";".join(tags[row]) for row in rng.random((COUNT, 3)) < 0.4],
    "grade": rng.choice(["low", "mid", "high"], COUNT),
    "size": rng.uniform(0.2, 1.0, COUNT),
    "turn": rng.uniform(0, 360, COUNT),
  }


def paint(vectors):
  """Show each entry of [N, A] as the grey of a row of the image."""
  grey = np.round(127.5 + 100 * np.clip(vectors, -1, 1)).astype(np.uint8)
  images = np.zeros((len(vectors), SIDE, SIDE, 1), np.uint8)
  images[:, : vectors.shape[1]] = grey[:, :, None, None]
  return images


@pytest.fixture(scope="module")
def dataset():
  """Images that show their conditions, which are of all six kinds."""
  plain = sources.from_arrays(
    np.zeros((COUNT, SIDE, SIDE, 1), np.uint8), table(), kinds=KINDS
  )
  parts = [
    dict(part, image=paint(part["condition"]))
    for part in (plain.train, plain.test)
  ]
  return sources.Dataset(*parts, plain.conditions, "painted")


@pytest.fixture(scope="module")
def judge(dataset, tmp_path_factory):
  folder = tmp_path_factory.mktemp("judge") / "run"
  config = configs.load("configs/judge.py:smoke", TINY)
  train.train_and_evaluate(config, folder, dataset=dataset)
  return runs.load(folder)


def painter(conditions, obey=1.0):
  """A run that paints what it is asked for, or a share `obey` of it."""

  def decode(state, z, condition):
    rows = 0.5 + obey * condition * (100 / 255)
    rows = jnp.pad(rows, ((0, 0), (0, SIDE - rows.shape[1])))
    return jnp.broadcast_to(rows[:, :, None, None], (len(z), SIDE, SIDE, 1))

  system = System(
    init=None,
    step=None,
    evaluate=None,
    columns={"image": (SIDE, SIDE, 1), "condition": (conditions.size,)},
    latents=2,
    decode=decode,
  )
  config = ConfigDict({"name": "painter"})
  return runs.Run("painter", config, conditions, system, None)


def test_a_judge_s_losses_are_those_of_sklearn(judge, dataset):
  test = dataset.test
  read = judge.predict(test["image"])
  evaluate = jax.jit(judge.system.evaluate)
  terms = evaluate(judge.state, test, jax.random.key(0))
  assert all(terms[f"error_{n}"].known.all() for n in judge.conditions.asked)
  terms = {n: getattr(term, "value", term) for n, term in terms.items()}
  conditions = judge.conditions
  own = {n: read[:, conditions.columns(n)] for n in conditions.asked}
  true = {n: test["condition"][:, conditions.columns(n)] for n in own}
  shape = log_loss(true["shape"].argmax(1), own["shape"], labels=[0, 1, 2])
  assert terms["error_shape"].mean() == pytest.approx(shape, rel=1e-4)
  for name in ("smiling", "tags", "grade"):
    nats = sum(
      log_loss(t, p, labels=[0, 1])
      for t, p in zip(true[name].T, own[name].T, strict=True)
    )
    assert terms[f"error_{name}"].mean() == pytest.approx(nats, rel=1e-3)
  squared = ((own["size"] - true["size"]) ** 2).mean()
  assert terms["error_size"].mean() == pytest.approx(squared, rel=1e-4)
  np.testing.assert_allclose(own["shape"].sum(axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose((own["turn"] ** 2).sum(axis=1), 1, rtol=1e-5)
  weights = {"size": 10.0, "turn": 10.0}
  total = sum(weights.get(n, 1.0) * terms[f"error_{n}"] for n in own)
  np.testing.assert_allclose(terms["loss"], total, rtol=1e-4)


def test_an_obedient_model_is_found_obedient_in_each_kind(judge, dataset):
  run = painter(judge.conditions)
  found = control.score(run, [judge], dataset.test, 20, 0, [dataset.train])
  scores = found["control"]
  assert set(scores) == set(judge.conditions.asked)
  for kind in ("sweep", "real", "ceiling"):
    assert scores["shape"][kind]["hit_rate"] > 0.9
    assert scores["smiling"][kind]["hit_rate"] > 0.9
    assert scores["tags"][kind]["mean_average_precision"] > 0.9
    assert scores["grade"][kind]["rank_correlation"] > 0.9
    assert scores["size"][kind]["r_squared"] > 0.6
    assert scores["turn"][kind]["circular_error"] < 30
  assert scores["size"]["sweep"]["slope"] == pytest.approx(1, abs=0.25)
  assert 80 < scores["turn"]["real"]["floor"] < 100
  assert scores["shape"]["ceiling"]["samples"] == len(dataset.test["image"])
  assert control.warnings(found) == []
  change = found["leakage"]["normalised"]
  assert set(change) == set(scores)
  assert change["shape"]["shape"] > 0.9
  assert abs(change["shape"]["smiling"]) < 0.2
  text = "\n".join(control.lines(found))
  assert "R²" in text
  assert "mean circular error" in text
  assert "mean average precision" in text


def test_a_deaf_model_is_said_to_ignore_each_attribute(judge, dataset):
  run = painter(judge.conditions, obey=0.0)
  found = control.score(run, [judge], dataset.test, 20, 0, [dataset.train])
  said = control.warnings(found)
  ignored = [line for line in said if line.startswith("condition ignored")]
  assert len(ignored) == 6
  for name in judge.conditions.asked:
    assert any(name in line for line in ignored)


def test_judges_of_other_levels_are_refused(judge):
  entries = [a.entry() for a in judge.conditions.attributes]
  entries[0]["levels"] = ["circle", "square", "hexagon"]
  other = Conditions.from_json({"attributes": entries})
  with pytest.raises(runs.RunError, match=r"reads shape as class .circle, squ"):
    control.Reader(other, [judge])
  foreign = Conditions.from_json(
    {"attributes": [{"name": "hue", "kind": "angle", "period": 360}]}
  )
  with pytest.raises(runs.RunError, match=r"reads shape, smiling.* on hue"):
    control.Reader(foreign, [judge])


def test_what_is_unknown_does_not_teach(dataset):
  conditions = Conditions(dataset.conditions.attributes, known_bits=True)
  config = configs.load("configs/judge.py:smoke", TINY)
  facts = Facts(
    {"image": (SIDE, SIDE, 1), "condition": (conditions.size,)},
    COUNT,
    attribute_columns(conditions),
  )
  system = configs.resolve(config, facts)
  state = small.drawn(system)
  asked = conditions.encode(shape=["circle", None])
  batch = {"image": dataset.test["image"][:2], "condition": asked}
  terms = jax.jit(system.evaluate)(state, batch, jax.random.key(0))
  assert terms["error_shape"].value[0] > 0
  assert terms["error_shape"].known.tolist() == [1, 0]
  assert terms["loss"][1] == 0
  assert not terms["error_size"].known.any()
  # A mean is over the rows that have a value; there is none without one.
  split = {name: np.asarray(column) for name, column in batch.items()}
  mean = evaluate.make_mean(system.evaluate)
  means = mean(state, Feed(split), 2, jax.random.key(0))
  assert means["error_shape"] == pytest.approx(terms["error_shape"].value[0])
  assert "error_size" not in means
  image = jnp.zeros((1, SIDE, SIDE, 1))
  read = jax.eval_shape(system.predict, state, image, None)
  assert read.shape == (1, conditions.entries)


def test_training_errors_are_means_over_the_rows_that_have_a_value():
  """Three of eight shapes are known: two, one and none of a batch."""
  shape = ["circle", "square", None, "circle", None, None, None, None]
  names = {"shape": shape, "size": np.linspace(0, 1, 8)}
  images = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), np.uint8)
  made = sources.from_arrays(images, names, held_out=0.0)
  config = configs.load("configs/judge.py:smoke", TINY | {"optim.lr": 1e-9})
  config.batch_size = 2
  begun = job.prepare(name_arrays(config), dataset=made)
  order = made.conditions.known(made.train["condition"], "shape").argsort()
  split = {name: column[order] for name, column in made.train.items()}
  state = begun.system.init(jax.random.key(0))
  key = jax.random.key(1)
  meter = Meter()
  for step in range(4):
    batch = {n: column[2 * step :][:2] for n, column in split.items()}
    state, found = begun.system.step(state, batch, key, np.int32(step))
    meter.push(step, {name: value[None] for name, value in found.items()})
  meter.drain()
  trained = meter.take("epoch")
  mean = evaluate.make_mean(begun.system.evaluate)
  wanted = mean(state, Feed(split), 8, key)
  for name in ("error_shape", "error_size"):
    assert trained[f"model/{name}"] == pytest.approx(wanted[name], rel=1e-4)
  assert not [name for name in trained if "known" in name]


@pytest.mark.parametrize("shape", [(16, 16, 1), (17, 40, 3), (48, 80, 1)])
def test_a_judge_takes_images_of_any_size_from_16_on(shape):
  conditions = Conditions.from_json(
    {"attributes": [{"name": "hue", "kind": "angle", "period": 360}]}
  )
  config = configs.load("configs/judge.py:smoke", TINY)
  columns = {"image": shape, "condition": (2,)}
  system = configs.resolve(
    config, Facts(columns, 9, attribute_columns(conditions))
  )
  state = jax.eval_shape(system.init, jax.random.key(0))
  image = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
  assert jax.eval_shape(system.predict, state, image, None).shape == (2, 2)


@pytest.mark.parametrize(
  ("shape", "asked", "said"),
  [
    ((15, 20, 1), ("hue",), "at least 16 pixels a side; found 15 × 20"),
    ((20, 20, 1), (), "these data have none"),
  ],
)
def test_what_a_judge_cannot_read_is_said(shape, asked, said):
  conditions = Conditions.from_json(
    {"attributes": [{"name": n, "kind": "angle", "period": 1} for n in asked]}
  )
  config = configs.load("configs/judge.py:smoke", TINY)
  columns = {"image": shape, "condition": (conditions.size,)}
  with pytest.raises(ValueError, match=said):
    configs.resolve(config, Facts(columns, 9, attribute_columns(conditions)))


def test_the_attribute_system_refuses_what_is_no_class(dataset):
  # Its softmax called every rank the first class, and all of noise right.
  grade = dataset.conditions.entry_numbers("grade")
  settings = {"columns.target": grade, "data.image_shape": (SIDE, SIDE, 1)}
  config = configs.load(
    "configs/classifier.py:smoke",
    settings | {"data.conditions": dataset.conditions.size},
  )
  with pytest.raises(ValueError, match="grade, which is ordinal and no class"):
    job.prepare(config, dataset=dataset)


def test_a_judge_that_hardly_reads_real_images_is_warned_of(judge, dataset):
  run = painter(judge.conditions)
  mixed = dict(dataset.test, image=dataset.test["image"][::-1])
  found = control.score(run, [judge], mixed, 5, 0, [dataset.train])
  said = control.warnings(found)
  assert any("hardly reads shape from real images" in line for line in said)


def test_samples_that_obey_teach_a_judge_and_others_do_not(
  judge, dataset, tmp_path, monkeypatch
):
  monkeypatch.setattr(cas, "load_data", lambda *_: dataset)
  short = judge.config.copy_and_resolve_references()
  with short.unlocked():
    short.epochs = 15
  brief = dataclasses.replace(judge, config=short)
  found = {}
  for name, obey in (("obedient", 1.0), ("deaf", 0.0)):
    run = painter(judge.conditions, obey)
    run = dataclasses.replace(run, folder=tmp_path / name)
    with run.config.unlocked():
      run.config.data = {"name": "arrays"}
    found[name] = cas.score(run, brief, train.train_and_evaluate)
  assert set(found["deaf"]) == set(judge.conditions.asked)
  rate = {n: f["shape"]["samples"]["hit_rate"] for n, f in found.items()}
  real = found["deaf"]["shape"]["real"]["hit_rate"]
  assert rate["obedient"] > 0.7
  assert rate["deaf"] < 0.6 < real
  text = "\n".join(cas.lines(found["deaf"]))
  assert "shape, judge of samples" in text


def test_no_real_image_chooses_the_state_of_a_judge_of_samples(
  judge, dataset, tmp_path, monkeypatch
):
  monkeypatch.setattr(cas, "load_data", lambda *_: dataset)
  run = dataclasses.replace(painter(judge.conditions, 0.5), folder=tmp_path)
  with run.config.unlocked():
    run.config.data = {"name": "arrays"}
  monkeypatch.setattr(cas.runs, "load", lambda folder: judge)
  given = []
  cas.score(run, judge, lambda *_, dataset: given.append(dataset))
  watched = given[0].valid
  count = len(dataset.test["image"])
  assert len(watched["image"]) == count
  assert len(given[0].train["image"]) == len(dataset.train["image"])
  np.testing.assert_array_equal(watched["condition"], dataset.test["condition"])
  # They are samples, which are fainter than the real images.
  asked = dataset.test["condition"]
  drawn = run.guided(np.zeros((count, 2)), asked)
  np.testing.assert_allclose(watched["image"] / 255.0, drawn, atol=0.005)
  assert not np.array_equal(watched["image"], dataset.test["image"])


def test_each_seed_and_each_judge_teaches_a_network_of_its_own(
  judge, dataset, tmp_path, monkeypatch
):
  """A judge's folder may have the name of another judge's, elsewhere."""
  monkeypatch.setattr(cas, "load_data", lambda *_: dataset)

  def decode(state, z, condition):
    grey = 0.5 + 0.1 * z[:, :1, None, None]
    return jnp.broadcast_to(grey, (len(z), SIDE, SIDE, 1))

  run = painter(judge.conditions)
  system = run.system._replace(decode=decode)
  run = dataclasses.replace(run, folder=tmp_path / "run", system=system)
  with run.config.unlocked():
    run.config.data = {"name": "arrays"}
  taught = []

  def train_none(config, folder, dataset):
    taught.append((config.seed, folder, dataset.train["image"]))

  monkeypatch.setattr(cas.runs, "load", lambda folder: judge)
  again = judge.config.copy_and_resolve_references()
  with again.unlocked():
    again.seed = 3
  state = judge.state.replace(step=judge.state.step + 1)
  namesake = dataclasses.replace(judge, config=again, state=state)
  asked = ((judge, 0), (judge, 3), (namesake, 0), (namesake, 3), (judge, 0))
  for one, seed in asked:
    cas.score(run, one, train_none, seed)
  seeds, folders, images = zip(*taught, strict=True)
  assert seeds == (0, 0, 3, 3, 0)
  assert len({*folders}) == 4
  assert folders[4] == folders[0]
  np.testing.assert_array_equal(images[4], images[0])
  assert not np.array_equal(images[1], images[0])


def test_what_teaches_no_judge_is_refused_before_anything_is_scored(judge):
  painted = painter(judge.conditions)
  painted.config.system = "vae"
  with pytest.raises(runs.RunError, match="needs one of configs/judge"):
    cas.check(painted, dataclasses.replace(judge, config=painted.config))
  other = Conditions.fit([{"name": "age", "kind": "number"}], {"age": [1, 2]})
  with pytest.raises(runs.RunError, match="reads nothing that painter is"):
    cas.check(painter(other), judge)
