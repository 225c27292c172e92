"""Images of one's own: from prepared set to run, whatever they are."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax import config as configs, data, runs, train
from cvae_jax.data.files import shapes
from cvae_jax.loop import condition_dropout
from cvae_jax.loop.job import prepare as make_job
from cvae_jax.measures import score
from cvae_jax.method import distributions, likelihoods
from cvae_jax.nets import images
from cvae_jax.settings import ConfigError
from tests.prepare_arrays_test import pixels, write_idx
from tests.prepare_images_test import ROOT, prepare

PAGE = "configs/images.py:smoke"


pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
  """Prepare 80 drawn shapes of 16 pixels."""
  folder = tmp_path_factory.mktemp("drawn")
  shapes.write(folder / "files", 80, side=16)
  assert prepare(folder / "files", folder / "set", "--size=16") == 0
  return folder / "set"


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
  """Train on them for an epoch."""
  folder = tmp_path_factory.mktemp("run")
  train.train_and_evaluate(
    configs.load(PAGE, {"data.path": str(drawn)}), folder
  )
  return folder


def rows(folder):
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_a_condition_holds_what_the_table_says_of_the_image(drawn):
  dataset = data.load(configs.load(PAGE, {"data.path": str(drawn)}).data)
  table = pd.read_csv(drawn / "attributes.csv", dtype=str)
  images_ = np.load(drawn / "images.npy")
  for name, part in (
    *(("train", dataset.train), ("valid", dataset.valid)),
    ("test", dataset.test),
  ):
    own = table["split"] == name
    np.testing.assert_array_equal(part["image"], images_[own])
    found = part["condition"]
    for column, levels in (
      (0, ["circle", "square", "triangle"]),
      (3, sorted(shapes.COLOURS)),
    ):
      word = table[own]["shape" if column == 0 else "colour"]
      np.testing.assert_array_equal(
        found[:, column : column + len(levels)],
        (word.to_numpy()[:, None] == levels).astype(float),
      )
    angle = np.radians(table[own]["angle"].astype(float))
    np.testing.assert_allclose(found[:, 8], np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(found[:, 9], np.sin(angle), atol=1e-6)
  train_sizes = table[table["split"] == "train"]["size"].astype(float)
  low = train_sizes.min()
  high = train_sizes.max()
  expected = 2 * (train_sizes - low) / (high - low) - 1
  np.testing.assert_allclose(
    dataset.train["condition"][:, 7], expected, atol=1e-6
  )


def test_images_stay_on_disk(drawn):
  dataset = data.load(configs.load(PAGE, {"data.path": str(drawn)}).data)
  for part in (dataset.train, dataset.valid, dataset.test):
    assert isinstance(part["image"], np.memmap)
    assert not part["image"].flags.owndata


def test_training_is_watched_by_valid_and_ends_with_test(run):
  splits = [row["split"] for row in rows(run)]
  assert splits.count("valid") == splits.count("test") == 1
  assert splits[-1] == "test"


def test_early_stopping_follows_valid_and_test_is_of_the_best_state(
  drawn, tmp_path
):
  changes = {
    "data.path": str(drawn),
    "epochs": 4,
    "optim.lr": 0.03,  # so that it gets worse, sooner or later
    "early_stop.metric": "loss",
    "early_stop.patience": 1,
    "early_stop.restore": True,
  }
  state = train.train_and_evaluate(configs.load(PAGE, changes), tmp_path)
  found = rows(tmp_path)
  valid = {r["step"]: r["loss"] for r in found if r["split"] == "valid"}
  best = min(valid, key=valid.get)
  assert int(state.step) == best
  assert best in {r["step"] for r in found if r["split"] == "test"}


def test_a_run_of_own_images_is_asked_in_words(run):
  loaded = runs.load(run)
  condition = loaded.conditions.encode(
    shape="triangle", colour="red", size=0.9, angle=90
  )
  assert loaded.sample(condition).shape == (1, 16, 16, 3)
  with pytest.raises(data.DataError, match="no level 'star'; there is circle"):
    loaded.conditions.encode(shape="star", colour="red", size=0.9, angle=90)


def test_an_edited_schema_changes_what_conditions(drawn, tmp_path):
  copy = tmp_path / "set"
  copy.mkdir()
  for file in drawn.iterdir():
    (copy / file.name).write_bytes(file.read_bytes())
  schema = json.loads((copy / "schema.json").read_text())
  schema["attributes"] = [
    {"name": "size", "kind": "number", "range": [0, 2]},
    *(e for e in schema["attributes"] if e["name"] == "shape"),
  ]
  (copy / "schema.json").write_text(json.dumps(schema))
  dataset = data.load(configs.load(PAGE, {"data.path": str(copy)}).data)
  assert dataset.conditions.names == (
    *("size", "shape=circle", "shape=square", "shape=triangle"),
  )
  (copy / "schema.json").write_text("{")
  with pytest.raises(data.DataError, match=r"schema.json: no schema"):
    data.load(configs.load(PAGE, {"data.path": str(copy)}).data)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({}, "data.path names no prepared set"),
    ({"data.conditions": "shape,weight"}, "names 'weight'; .* has shape"),
    ({"data.size": "32"}, "size=32: the images in .* have 16x16 pixels"),
  ],
)
def test_what_the_set_has_not_is_one_line(drawn, changes, message):
  changes = changes and {"data.path": str(drawn), **changes}
  with pytest.raises(data.DataError, match=message):
    data.load(configs.load(PAGE, changes).data)


def test_training_on_data_that_moved_says_how_to_name_them(tmp_path):
  page = configs.load(PAGE, {"data.path": str(tmp_path / "gone")})
  with pytest.raises(data.DataError, match=r"elsewhere: --config\.data"):
    train.prepare(page)


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("width=huge", "width=huge: expected small, medium, large"),
    ("system=gann", "system=gann: expected cvae, vae"),
  ],
)
def test_an_unknown_choice_of_the_page_lists_the_choices(arg, message):
  with pytest.raises(ConfigError, match=message):
    configs.load(f"configs/images.py:{arg}")


# --- networks


@pytest.mark.parametrize("blocks", images.BLOCKS)
@pytest.mark.parametrize(
  "shape", [(8, 8, 1), (9, 13, 3), (48, 80, 1), (28, 28, 1), (65, 33, 4)]
)
def test_networks_build_themselves_for_any_size(shape, blocks):
  encoder = images.GaussianEncoder(shape, 5, blocks=blocks)
  decoder = images.ImageDecoder(shape, blocks=blocks)
  key = jax.random.key(0)

  def both(image, condition):
    params = encoder.init(key, image, condition)
    q = encoder.apply(params, image, condition)
    params = decoder.init(key, q.mean, condition)
    return q, decoder.apply(params, q.mean, condition)

  for conditions in (0, 7):
    condition = jax.ShapeDtypeStruct((2, conditions), jnp.float32)
    image = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    q, output = jax.eval_shape(both, image, condition)
    assert q.mean.shape == q.logvar.shape == (2, 5)
    assert output.shape == (2, *shape)


def test_networks_refuse_images_below_8_pixels():
  with pytest.raises(ValueError, match="7×9 pixels; expected 8 or more a side"):
    images.sides(7, 9)


def test_each_pixel_depends_on_the_condition_and_every_latent():
  decoder = images.ImageDecoder((9, 11, 1))
  z = jax.random.normal(jax.random.key(1), (1, 4))
  condition = jnp.ones((1, 2))
  params = jax.jit(decoder.init)(jax.random.key(0), z, condition)

  @jax.jit
  def jacobians(*given):
    return jax.jacrev(lambda *x: decoder.apply(params, *x), (0, 1))(*given)

  for jacobian in jacobians(z, condition):
    assert (np.abs(np.asarray(jacobian)[0, ..., 0, 0, :]) > 0).all()


@pytest.mark.parametrize("mixture", [1, 3])
def test_logistics_begin_near_the_images_mean(mixture):
  mean = (0.2, 0.5, 0.9)
  logistic = distributions.Logistic(mixture)
  decoder = images.ImageDecoder(
    (8, 8, 3), outputs=logistic.width, bounded=False, mean=mean
  )
  z = jax.random.normal(jax.random.key(1), (64, 4))
  output = decoder.init_with_output(jax.random.key(0), z, jnp.zeros((64, 0)))[0]
  rows = likelihoods.flat(output)
  drawn = np.asarray(logistic.mean(rows)).reshape(-1, 3)
  np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03)
  assert drawn.std(axis=0).max() < 0.1
  x = jnp.broadcast_to(jnp.array(mean), (64, 8, 8, 3))
  nats = logistic.nats(likelihoods.flat(x), rows)
  assert nats.max() < 192 * np.log(256)  # all levels alike


# --- unknown values


def test_condition_dropout_drops_whole_attributes_with_their_bits(drawn):
  seen = []

  class Probe:
    """Stands for a system whose step shows its batch."""

    @staticmethod
    def _replace(step):
      return step

    @staticmethod
    def step(state, batch, key, at):
      seen.append(np.asarray(batch["condition"]))
      return state, {}

  changes = {"data.path": str(drawn), "data.condition_dropout": 0.25}
  dataset = data.load(configs.load(PAGE, changes).data)
  conditions = dataset.conditions
  assert conditions.known_bits
  step = condition_dropout.drop_attributes(
    Probe, condition_dropout.attribute_masks(conditions), 0.25
  )
  whole = np.tile(dataset.train["condition"], (20, 1))
  for at in (3, 3, 4):
    step(None, {"condition": jnp.asarray(whole)}, jax.random.key(0), at)
  first, again, other = seen
  np.testing.assert_array_equal(first, again)  # a function of the step
  assert (first != other).any()
  for name in conditions.asked:
    known = conditions.known(first, name)
    columns = conditions.columns(name)
    np.testing.assert_array_equal(
      first[known][:, columns], whole[known][:, columns]
    )
    assert not first[~known][:, columns].any()
    assert known.mean() == pytest.approx(0.75, abs=0.05)
  every = [conditions.known(first, name) for name in conditions.asked]
  assert np.mean(every[0] & every[1]) == pytest.approx(0.75**2, abs=0.06)


def test_missing_cells_and_dropout_train_and_unknowns_may_be_asked(
  drawn, tmp_path
):
  files = drawn.parent / "files"
  table = pd.read_csv(files / "labels.csv", dtype=str)
  gone = np.random.default_rng(0).random((len(table), 4)) < 0.5
  table.iloc[:, 1:] = table.iloc[:, 1:].mask(gone, "")
  table.to_csv(tmp_path / "t.csv", index=False)
  out = tmp_path / "set"
  assert prepare(files, out, "--size=16", f"--table={tmp_path / 't.csv'}") == 0
  changes = {"data.path": str(out), "data.condition_dropout": 0.1}
  train.train_and_evaluate(configs.load(PAGE, changes), tmp_path / "run")
  loaded = runs.load(tmp_path / "run")
  condition = loaded.conditions.encode(shape="circle")
  assert not loaded.conditions.known(condition, "colour").any()
  assert np.isfinite(loaded.sample(condition)).all()


def test_dropout_without_known_bits_is_refused():
  changes = {"data.condition_dropout": 0.1}
  with pytest.raises(ValueError, match="needs conditions with known-bits"):
    condition_dropout.attribute_masks(object())
  assert configs.load(PAGE, changes).data.condition_dropout == 0.1


# --- every kind of set, from files to figures


def mnist_folders(folder):
  for split, count in (("training", 6), ("testing", 2)):
    for digit in range(3):
      place = folder / split / str(digit)
      place.mkdir(parents=True)
      for i in range(count):
        Image.fromarray(pixels(1, 12, 12)[0]).save(place / f"{i}.png")


def idx_of_47(folder):
  for split, count in (("train", 94), ("test", 47)):
    stem = f"emnist-balanced-{split}"
    write_idx(folder / f"{stem}-images-idx3-ubyte", pixels(count, 12, 12))
    labels = np.arange(count) % 47
    write_idx(folder / f"{stem}-labels-idx1-ubyte", labels)


def medmnist(folder):
  folder.mkdir()
  arrays = {}
  for split, count in (("train", 32), ("val", 8), ("test", 8)):
    arrays[f"{split}_images"] = pixels(count, 12, 12, 3)
    arrays[f"{split}_labels"] = (np.arange(count) % 4)[:, None]
  np.savez(folder / "blood.npz", **arrays)


def grey_oblong(folder):
  folder.mkdir()
  table = []
  for i in range(40):
    Image.fromarray(pixels(1, 24, 40)[0]).save(folder / f"{i}.png")
    grade = ("low", "mid", "high")[i % 3]
    table.append({"file": f"{i}.png", "grade": grade, "angle": 9 * i})
  pd.DataFrame(table).to_csv(folder / "t.csv", index=False)


CASES = {
  "MNIST as class folders": (mnist_folders, (12, 12, 1), ("--size=12",), 3),
  "idx of 47 classes": (idx_of_47, (12, 12, 1), ("--size=12",), 47),
  "MedMNIST's npz": (medmnist, (12, 12, 3), ("--size=12",), 4),
  "grey 24x40, an ordinal and an angle": (
    grey_oblong,
    (24, 40, 1),
    ("--size=24x40", "--kind=grade=ordinal:low<mid<high"),
    4,
  ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_set_goes_from_files_to_figures_by_commands(case, tmp_path):
  write, shape, options, size = CASES[case]
  write(tmp_path / "in")
  assert prepare(tmp_path / "in", tmp_path / "set", *options) == 0
  config = configs.load(PAGE, {"data.path": str(tmp_path / "set")})
  train.train_and_evaluate(config, tmp_path / "run")
  loaded = runs.load(tmp_path / "run")
  assert loaded.conditions.size == size
  assert loaded.sample(loaded.conditions.panel()).shape[1:] == shape
  if "ordinal" in case:
    scores = score.score(loaded, samples=2, per_class=2)
    assert np.isfinite(scores["test"]["elbo"])


@pytest.mark.parametrize("system", ["vae", "aae", "gan"])
def test_the_zoo_takes_the_same_data(drawn, tmp_path, system):
  page = f"configs/images.py:smoke,system={system}"
  config = configs.load(page, {"data.path": str(drawn)})
  train.train_and_evaluate(config, tmp_path)
  loaded = runs.load(tmp_path)
  size = loaded.conditions.size
  assert size == (10 if system == "vae" else 0)
  images_ = loaded.sample(np.zeros((3, size), np.float32))
  assert images_.shape == (3, 16, 16, 3)
  assert np.isfinite(images_).all()


@pytest.mark.parametrize("likelihood", ["sigma", "bernoulli", "logistic"])
def test_a_likelihood_by_name_has_the_output_that_it_takes(drawn, likelihood):
  changes = {"data.path": str(drawn), "loss.likelihood": likelihood}
  job = make_job(configs.load(PAGE, changes))
  state = jax.eval_shape(job.system.init, jax.random.key(0))
  z = jnp.zeros((2, 32))
  condition = jnp.zeros((2, 10))
  image = jax.eval_shape(job.system.decode, state, z, condition)
  assert image.shape == (2, 16, 16, 3)


def test_the_notebook_of_the_docs_trains_on_arrays(tmp_path, monkeypatch):
  text = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
  block = text.partition("```python\n")[2].partition("```")[0]
  lines = [line for line in block.splitlines() if line.strip()]
  assert len(lines) == 6
  monkeypatch.chdir(tmp_path)
  spaces = {
    "images": pixels(40, 12, 12, 3),
    "names": np.array(["circle", "square"] * 20),
    "sizes": np.arange(40) / 39,
  }
  exec(block, spaces)
  assert spaces["pictures"].shape == (1, 12, 12, 3)
