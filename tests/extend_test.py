"""What docs/extend.md shows works as it stands, from outside the package."""

import decimal
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config as configs, data, runs, train
from cvae_jax.config import ConfigError
from cvae_jax.host import plugins
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.loop.run import fitted
from cvae_jax.measures import representation, score, score_text
from launch import main
from tests import small

FILES = ("my_lab/beta_vae.py", "my_lab/shapes.py", "my_lab/month.py", "beta.py")
TEXT = (small.ROOT / "docs/extend.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
  """A folder with the page's files and a run of them."""
  folder = tmp_path_factory.mktemp("outside")
  (folder / "my_lab").mkdir()
  (folder / "my_lab/__init__.py").write_text("")
  for name in FILES:
    (folder / name).write_text(BLOCKS[name])
  commands(folder, ["train", "--config=beta.py", "--workdir=run"])
  return folder


# In one process of its own: each would import jax anew for two seconds.
COMMANDS = """
import json, sys
from benchmarks.faults import launching
said = []
for name, *words in json.loads(sys.argv[1]):
  done = launching.within(f"launch.{name}", *words)
  assert done.code == 0, done.text
  said.append(done.text)
print(json.dumps(said))
"""


def commands(folder, *orders):
  """Runs commands in a user's folder: what each says."""
  path = os.pathsep.join([str(folder), str(small.ROOT)])
  done = subprocess.run(
    [sys.executable, "-c", COMMANDS, json.dumps(orders)],
    cwd=folder,
    env=os.environ | {"PYTHONPATH": path},
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


@pytest.fixture
def importable(lab, monkeypatch):
  monkeypatch.syspath_prepend(lab)
  monkeypatch.setattr(plugins, "_trusted", set())


def lines(name):
  return [line for line in BLOCKS[name].splitlines() if line.strip()]


def test_a_method_a_source_and_a_page_are_short():
  assert len(lines("my_lab/beta_vae.py")) <= 52
  assert len(lines("my_lab/shapes.py")) <= 16
  assert len(lines("beta.py")) <= 12


def test_a_page_of_one_s_own_takes_the_loop_s_defaults(lab):
  saved = json.loads((lab / "run/config.json").read_text())
  assert saved["system"] == "my_lab.beta_vae"
  assert saved["batch_size"] == 32
  assert saved["early_stop"]["patience"] == 5
  assert saved["name"] == "beta"


def test_a_run_s_module_is_not_imported_unasked(lab, importable):
  with pytest.raises(plugins.Untrusted, match=r"'my_lab.shapes'.*--trust"):
    runs.load(lab / "run")
  assert "my_lab.beta_vae" not in sys.modules


@pytest.mark.parametrize(
  ("source", "said"),
  [
    ("x = 1", r"'mine' has no load, .*: def load\(config\)"),
    ("def load(config): return 3", r"no Conditions.*data\.arrays import Cond"),
    (
      "from cvae_jax.data.arrays import Conditions\ndef load(config): return 3",
      "load of 'a_lab.mine' returned a int; expected a Dataset",
    ),
  ],
)
def test_a_data_source_that_lacks_a_part_is_refused_before_it_trains(
  importable, tmp_path, monkeypatch, source, said
):
  (tmp_path / "a_lab").mkdir()
  (tmp_path / "a_lab" / "mine.py").write_text(source)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, "a_lab.mine", raising=False)
  monkeypatch.delitem(sys.modules, "a_lab", raising=False)
  plugins.trust("a_lab.mine")
  with pytest.raises(ConfigError, match=said.replace("'mine'", "'a_lab.mine'")):
    data.load(configs.load("zoo:scvae", {"data.name": "a_lab.mine"}).data)


def test_a_method_without_make_or_of_another_type_is_refused(
  importable, tmp_path, monkeypatch
):
  (tmp_path / "b_lab").mkdir()
  (tmp_path / "b_lab" / "no_make.py").write_text("")
  monkeypatch.syspath_prepend(tmp_path)
  plugins.trust("b_lab.no_make")
  page = configs.load("zoo:scvae")
  with pytest.raises(ConfigError, match="returned a int; expected a System"):
    configs.resolve(page, system=lambda config, facts: 3)
  page = page.copy_and_resolve_references().unlock()
  page.system = "b_lab.no_make"
  with pytest.raises(ConfigError, match=r"no make, .*def make\(config, facts"):
    configs.resolve(page)


def test_a_trusted_run_samples_as_it_is_asked_to(lab, importable):
  run = runs.load(lab / "run", trust=True)
  condition = run.conditions.encode(shape=["square", "frame"], size=4.0)
  assert run.sample(condition).shape == (2, 16, 16, 1)
  with pytest.raises(data.DataError, match="no level 'circle'; there is frame"):
    run.conditions.encode(shape="circle", size=4.0)
  with pytest.raises(data.DataError, match=r"size is from .* found 90"):
    run.conditions.encode(shape="frame", size=90)


def test_commands_in_another_process_go_on_draw_and_score(lab):
  trained, _, scored = commands(
    lab,
    ["train", "--workdir=run", "--config.epochs=3", "--trust"],
    ["sample", "--workdir=run", "--trust"],
    ["evaluate", "--workdir=run", "--trust", "--samples=2"],
  )
  assert "epoch 3/3" in trained
  assert "kl" in scored
  assert (lab / "run/figures/conditions.png").stat().st_size > 1000


def test_the_judge_that_evaluate_advises_can_be_trained(lab, importable):
  (said,) = commands(
    lab, ["evaluate", "--workdir=run", "--trust", "--samples=2"]
  )
  advice = re.search(r"in Python: (.*)\) and give --judge", said)[1]
  advice = advice.replace("judge'", "judge:smoke'", 1)
  advice = advice.replace("runs/judge", str(lab / "judge"))
  run = runs.load(lab / "run", trust=True)
  exec(advice, {"config": configs, "data": data, "train": train, "run": run})
  assert runs.load(lab / "judge").system.predict is not None


def test_arrays_train_and_the_run_is_loaded_by_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  spaces = {}
  exec(BLOCKS["notebook"], spaces)
  assert spaces["pictures"].shape == (2, 16, 16, 1)
  assert "test psnr" in score_text.table(spaces["scores"])
  with pytest.raises(
    data.DataError, match=r"handed in as arrays.*score\.score\(run, dataset=…"
  ):
    data.load(spaces["run"].config.data)


def test_a_system_may_be_handed_over(lab, importable, tmp_path):
  make = plugins.importlib.import_module("my_lab.beta_vae").make
  page = str(lab / "beta.py")
  config = configs.load(page, {"epochs": 1, "system": "mine"})
  images = np.zeros((64, 8, 8, 3), np.uint8)
  images[::2] = 255
  dataset = data.from_arrays(images)
  train.train_and_evaluate(config, tmp_path, system=make, dataset=dataset)
  run = runs.load(tmp_path, system=make)
  assert run.sample(np.zeros((3, 0))).shape == (3, 8, 8, 3)
  with pytest.raises(ConfigError, match="unknown system 'mine'"):
    runs.load(tmp_path)


def test_what_the_data_know_wins_over_what_a_page_states():
  config = configs.load("zoo:vae,smoke", {"data.image_shape": (20, 20, 1)})
  with pytest.raises(ConfigError, match=r"\(20, 20, 1\), the data have \(28"):
    train.prepare(config)


@pytest.mark.parametrize(
  ("columns", "message"),
  [
    ({"size": np.zeros(3)}, "size has 3 rows, images 8"),
    ({"size": np.zeros(8)}, "all training rows have the value 0"),
    ({"size": np.full(8, np.nan)}, "not finite"),
  ],
)
def test_arrays_that_do_not_fit_are_named(columns, message):
  with pytest.raises(data.DataError, match=message):
    data.from_arrays(np.zeros((8, 4, 4), np.uint8), columns)


FLOATS = [0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
WORDS = ["a", "b"] * 3 + ["a"]


@pytest.mark.parametrize(
  ("values", "kind"),
  [
    ([*FLOATS, None], "number"),
    (np.array([*FLOATS, None], object), "number"),
    (np.array([*FLOATS, np.nan], object), "number"),
    (pd.Series([*FLOATS, None], dtype="Float64"), "number"),
    ([*WORDS, None], "class"),
    ([*WORDS, float("nan")], "class"),
    ([*WORDS, ""], "class"),
    (pd.Series([0, 1] * 3 + [1, None], dtype="Int64"), "class"),
    (np.ma.array([*FLOATS, -999.0], mask=[0] * 7 + [1]), "number"),
    (np.ma.array([*WORDS, "?"], mask=[0] * 7 + [1]), "class"),
    (np.ma.array([0, 1, 0, 1, 0, 1, 1, 9], mask=[0] * 7 + [1]), "class"),
  ],
)
def test_a_missing_value_is_unknown_and_leaves_the_kind_as_it_is(values, kind):
  images = np.zeros((8, 4, 4), np.uint8)
  dataset = data.from_arrays(images, {"a": values}, held_out=0)
  (attribute,) = dataset.conditions.attributes
  assert attribute.kind == kind
  assert dataset.conditions.known_bits
  known = dataset.train["condition"][:, dataset.conditions.bit("a")]
  assert known.sum() == 7
  if kind == "class":
    assert len(attribute.levels) == 2


def test_masked_pixels_are_refused_and_a_mask_of_none_is_no_matter():
  images = np.ma.array(np.zeros((8, 4, 4), np.uint8))
  size = np.ma.array([*FLOATS, 1.0])
  dataset = data.from_arrays(images, {"size": size}, held_out=0)
  assert not dataset.conditions.known_bits
  images[0, 0, 0] = np.ma.masked
  with pytest.raises(data.DataError, match=r"give images.filled\(0\)"):
    data.from_arrays(images)


def test_what_is_made_of_data_holds_for_those_that_are_handed_in(tmp_path):
  images = np.arange(64 * 16, dtype=np.uint8).reshape(64, 4, 4)
  config = configs.load(
    "zoo:vae,smoke",
    {
      "data.binarise": "dynamic",
      "batch_size": 16,
      "model.encoder.widths": (4,),
      "model.decoder.widths": (4,),
    },
  )
  dataset = data.from_arrays(images)
  train.train_and_evaluate(config, tmp_path, dataset=dataset)
  run = runs.load(tmp_path)
  assert run.config.data.to_dict() == {"name": "arrays", "binarise": "dynamic"}
  assert run.system.observe is not None
  config = configs.load("images:smoke", {"data.condition_dropout": 0.5})
  with pytest.raises(ValueError, match="known-bits"):
    train.train_and_evaluate(config, tmp_path / "b", dataset=dataset)


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
  """A run on arrays of a caller's, with names that are parameters' too."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (64, 8, 8), np.uint8)
  columns = {"temperature": rng.uniform(size=64), "count": np.arange(64) % 2}
  dataset = data.from_arrays(images, columns)
  changes = {
    "data.binarise": "static",
    "batch_size": 16,
    "model.latents": 2,
    "model.encoder.widths": (4,),
    "model.decoder.widths": (4,),
  }
  folder = tmp_path_factory.mktemp("handed_in")
  config = configs.load("zoo:scvae,smoke", changes)
  train.train_and_evaluate(config, folder, dataset=dataset)
  return folder, dataset, (images, columns)


def test_data_that_are_handed_in_are_measured_as_training_made_them(handed_in):
  folder, dataset, _ = handed_in
  row = read_metrics(folder)[-1]
  assert row["split"] == "test"
  found = score.score(runs.load(folder), dataset=dataset, samples=0)
  # Half of the grey values are drawn above the others: PSNR tells them apart.
  assert found["test"]["psnr"] == pytest.approx(row["psnr"], rel=1e-3)


def test_a_fitted_prior_of_handed_in_data_says_how_to_hand_them_in(
  handed_in, tmp_path
):
  folder = shutil.copytree(handed_in[0], tmp_path / "run")
  run = runs.load(folder)
  words = {"temperature": 0.9, "count": 1}
  with pytest.raises(data.DataError, match="handed in as arrays") as error:
    run.sample(words, prior="fitted:2")
  assert "\n" not in str(error.value)
  (call,) = re.findall(r"run\.with_prior\(.*?\)", str(error.value))
  again = eval(call, {"run": run, "dataset": handed_in[1]})
  assert again.fitted.components == 2
  expected = again.sample(words, 5)
  np.testing.assert_array_equal(
    run.sample(words, 5, prior="fitted:2"), expected
  )


def test_data_of_another_shuffling_are_refused_when_measuring(handed_in):
  folder, _, arrays = handed_in
  other = data.from_arrays(*arrays, seed=1)
  run = runs.load(folder)
  for measure in (score.score, representation.score, fitted.fit):
    with pytest.raises(
      RunMismatch, match=r"training data have changed.*hand in those it was"
    ):
      measure(run, dataset=other)


def test_an_attribute_with_a_parameter_s_name_is_asked_for_in_words(handed_in):
  run = runs.load(handed_in[0])
  words = {"temperature": 0.9, "count": 1}
  vectors = run.conditions.encode(words)
  expected = run.decode(run.prior(1, 3, vectors), vectors)
  np.testing.assert_allclose(run.sample(words, 3), expected, atol=1e-6)
  assert len(run.sample({}, count=2)) == 2
  for ask in (run.sample, run.request, run.grid, run.traverse):
    with pytest.raises(runs.RunError, match=r"an attribute count: say the at"):
      ask(count=2)


@pytest.mark.parametrize(
  ("images", "message"),
  [
    (np.zeros((8, 3, 4, 4), np.uint8), r"give images.transpose\(0, 2, 3, 1\)"),
    (np.full((8, 4, 4, 4), 255, np.uint8), r"give images\[\.\.\., :3\]"),
    (np.zeros((8, 4, 4)), r"give \(255 \* images\)"),
    (np.zeros((8, 4, 4), bool), r"bool .*give images \* np\.uint8\(255\)"),
    (np.full((8, 4, 4), -1.0), "from -1 to -1; .*black is 0 and white is 255"),
    (np.full((8, 4, 4), 16), "int64 .* from 16 to 16; give np.uint8"),
    (
      [np.zeros((4, 4)), np.zeros((4, 5))],
      r"one shape; found \(4, 4\), \(4, 5\)",
    ),
  ],
)
def test_images_of_another_form_are_refused_with_a_remedy(images, message):
  with pytest.raises(data.DataError, match=message):
    data.from_arrays(images)


@pytest.mark.parametrize(
  ("given", "said"),
  [
    ({"config": "zoo:scvae"}, "the config is a str; .*config.load\\('digits'"),
    ({"config": {"system": "vae"}}, "the config is a dict; expected"),
    ({"dataset": {"image": 1}}, "the dataset is a dict; expected a Dataset"),
  ],
)
def test_training_says_what_it_takes(tmp_path, given, said):
  words = {"config": configs.load("zoo:scvae,smoke"), "workdir": tmp_path}
  with pytest.raises(ValueError, match=said):
    train.train_and_evaluate(**words | given)


def test_a_data_frame_is_as_its_columns():
  images = np.zeros((40, 4, 4), np.uint8)
  columns = {"kind": ["a", "b"] * 20, "size": np.linspace(0, 1, 40)}
  named = data.from_arrays(images, columns).train["condition"]
  framed = data.from_arrays(images, pd.DataFrame(columns)).train["condition"]
  np.testing.assert_array_equal(framed, named)


def test_whole_numbers_that_are_no_classes_are_named():
  images = np.zeros((60, 4, 4), np.uint8)
  with pytest.raises(data.DataError, match=r"54 values are taken for classes"):
    data.from_arrays(images, {"age": np.arange(60)})


def test_the_installed_command_finds_modules_where_one_stands(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, "path", [*sys.path])
  monkeypatch.setattr(sys, "argv", ["cvae-jax", "--version"])
  assert main.main() == 0
  assert sys.path[0] == str(tmp_path)


def test_a_page_of_the_package_is_found_by_its_path_there(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  assert configs.load("configs/digits.py:model=2").data.ink == "per_class"
  with pytest.raises(ConfigError, match=r"no config file 'configs/none\.py'"):
    configs.load("configs/none.py")


@pytest.mark.parametrize("images", [np.zeros((8, 4, 4)), np.zeros((0, 4, 4))])
def test_images_are_bytes(images):
  with pytest.raises(data.DataError, match="images are uint8"):
    data.from_arrays(images)


def test_a_level_that_only_held_out_rows_have_is_refused():
  images = np.zeros((40, 4, 4), np.uint8)
  names = np.array(["a"] * 39 + ["b"])
  seeds = range(40)
  found = []
  for seed in seeds:
    try:
      data.from_arrays(images, {"name": names}, seed=seed)
    except data.DataError as error:
      found.append(str(error))
  assert 0 < len(found) < 40
  assert all("is in no training row" in line for line in found)


def test_bytes_are_words():
  images = np.zeros((8, 4, 4), np.uint8)
  columns = {"kind": np.array([b"cat", b"dog"] * 4), "tags": [b"a;b", b"a"] * 4}
  dataset = data.from_arrays(
    images, columns, held_out=0, kinds={"tags": "multilabel"}
  )
  kind, tags = dataset.conditions.attributes
  assert kind.levels == ("cat", "dog")
  assert tags.levels == ("a", "b")


@pytest.mark.parametrize("kinds", [{}, {"when": "number"}])
@pytest.mark.parametrize("box", [list, np.array, pd.Series])
def test_dates_are_refused_with_a_remedy_that_works(box, kinds):
  images = np.zeros((8, 4, 4), np.uint8)
  when = pd.date_range("2020-02-28", periods=8).to_series(index=range(8))
  with pytest.raises(data.DataError, match="when: dates are no condition"):
    data.from_arrays(images, {"when": box(when)}, kinds=kinds)
  days = (when - when.min()) / np.timedelta64(1, "D")
  dataset = data.from_arrays(images, {"when": days}, held_out=0)
  assert dataset.conditions.attribute("when").range == (0.0, 7.0)


def test_decimals_are_numbers():
  images = np.zeros((8, 4, 4), np.uint8)
  prices = [decimal.Decimal(row) / 4 for row in range(8)]
  dataset = data.from_arrays(images, {"price": prices}, held_out=0)
  (price,) = dataset.conditions.attributes
  assert (price.kind, price.range) == ("number", (0.0, 1.75))
  json.dumps(dataset.conditions.to_json())


def test_names_that_are_no_text_are_refused_with_a_remedy_that_works():
  images = np.zeros((8, 4, 4), np.uint8)
  table = pd.DataFrame(np.linspace(0, 1, 16).reshape(8, 2))
  with pytest.raises(data.DataError, match="name is text; found 0"):
    data.from_arrays(images, table)
  dataset = data.from_arrays(images, table.rename(columns=str), held_out=0)
  told = dataset.conditions.encode("0=0.5,1=0.5")
  np.testing.assert_array_equal(
    told, dataset.conditions.encode({"0": 0.5, "1": 0.5})
  )
