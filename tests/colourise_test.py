"""A small run from photos to colours: trained, resumed, used and reported."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import reports
from benchmarks.faults import launching
from cvae_jax import config, runs, train
from cvae_jax.apps import colourise as photo
from cvae_jax.data.files import prepared
from cvae_jax.loop import begin, keys
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.measures import colour as score, score as image_score
from cvae_jax.metrics import colour as metrics
from reports.colour import report as colour_report
from tests.colouring_test import SMALL

pytestmark = pytest.mark.usefixtures("short_colours", "plain_convolutions")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
  folder = tmp_path_factory.mktemp("colour")
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (4, 7, 7, 3), dtype=np.uint8)
  photos = coarse.repeat(16, axis=1).repeat(16, axis=2)
  table = pd.DataFrame({"file": [f"{i}.png" for i in range(4)]})
  prepared.write(folder / "photos", photos, table, {"size": 112})
  changes = SMALL | {
    "model.branch.dropout": 0.0,  # half of what would be compiled
    "data.path": str(folder / "photos"),
    "data.mirrored": False,
    "data.train_images": 2,
    "data.test_images": 2,
    "epochs": 1,
    "log_every": 1,
    "checkpoint_every": 6,
  }
  settings = config.load("configs/colour.py:useful,prepared", changes)
  train.train_and_evaluate(settings, folder / "runs" / "useful")
  return runs.load(folder / "runs" / "useful")


@pytest.fixture
def picture(tmp_path):
  pixels = np.random.default_rng(1).integers(0, 256, (45, 80, 3), dtype="u1")
  path = tmp_path / "mine.png"
  Image.fromarray(pixels).save(path)
  return path


def test_an_epoch_is_all_cells_and_every_term_is_logged(run):
  rows = read_metrics(run.folder)
  assert int(run.state.step) == 2 * 196 // 32
  (epoch,) = (row for row in rows if row["split"] == "epoch")
  names = (
    "loss",
    "weighted_squared_error",
    "kl",
    "saturation",
    "l2",
    "mse",
    "elbo",
  )
  assert all(np.isfinite(epoch[f"model/{name}"]) for name in names)
  (test,) = (row for row in rows if row["split"] == "test")
  assert {"kl", "prior_error", "z0_error", "elbo"} <= test.keys()
  assert list((run.folder / "samples").glob("*_colours.png"))
  saved = json.loads((run.folder / "conditions.json").read_text())
  assert saved["photos"] == 2


def test_the_reported_loss_is_the_sum_of_its_terms_with_l2(run):
  first, *_ = read_metrics(run.folder)
  assert (first["split"], first["step"]) == ("train", 1)
  terms = ("weighted_squared_error", "kl", "saturation", "l2")
  total = sum(first[f"model/{term}"] for term in terms)
  assert first["model/loss"] == pytest.approx(total, rel=1e-5)
  init = begin.compile_fast(run.system.init)  # what the run began with
  params = init(keys.address(run.config.seed, "init")).params
  leaves = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
  assert len(leaves) == 8 * len(SMALL["model.branch.features"])
  squares = sum(float(np.sum(np.square(leaf))) for leaf in leaves)
  assert first["model/l2"] == pytest.approx(0.001 * squares, rel=1e-5)


def test_a_photo_of_any_size_keeps_its_size_and_its_luma(run, picture):
  found = photo.colourise(run, photo.read(picture), count=3)
  pixels = photo.read(picture)
  assert len(found.variants) == len(found.maps) == 3
  for variant in found.variants:
    assert variant.shape == pixels.shape
    luma = variant @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - found.grey).max() <= 1.0  # levels, by rounding
  np.testing.assert_array_equal(found.photo, pixels)
  again = photo.colourise(run, photo.read(picture), count=3)
  np.testing.assert_array_equal(found.variants[2], again.variants[2])
  assert photo.sheet(found).shape == (1, 6, 45, 80, 3)


def test_the_colours_of_a_photo_play_no_part(run, picture):
  whole = photo.read(picture)
  found = photo.colourise(run, whole, count=2)
  grey = np.repeat(found.grey[..., None], 3, axis=-1)
  blind = photo.colourise(run, grey, count=2)
  np.testing.assert_array_equal(found.maps, blind.maps)
  assert blind.photo is None
  assert photo.sheet(blind).shape[1] == 3


def test_a_large_photo_is_coloured_in_bands_without_a_seam(monkeypatch):
  rng = np.random.default_rng(0)
  colours = rng.uniform(-1, 1, (14, 14, 2)).astype(np.float32)
  grey = rng.integers(0, 256, (200, 150), dtype=np.uint8)
  whole = photo.paint(colours, grey)
  monkeypatch.setattr(photo, "PIXELS", 150 * 33)  # six bands and a last one
  bands = photo.paint(colours, grey)
  difference = np.abs(whole.astype(int) - bands)
  assert difference.max() <= 1
  assert (difference > 0).mean() < 1e-3


def test_the_source_s_way_is_112_pixels_wide_and_another_painting(run, picture):
  ours = photo.colourise(run, photo.read(picture), count=2)
  theirs = photo.colourise(run, photo.read(picture), 2, smoothing="hue")
  np.testing.assert_array_equal(ours.maps, theirs.maps)
  assert [v.shape for v in theirs.variants] == [(112, 112, 3)] * 2
  assert theirs.photo.shape == theirs.recomposed.shape == (112, 112, 3)


def test_the_command_writes_variants_and_a_grid(run, picture, tmp_path):
  out = tmp_path / "out"
  flags = [f"--workdir={run.folder}", f"--image={picture}", "--variants=2"]
  done = launching.within("launch.colourise", *flags, f"--out={out}")
  assert done.code == 0, done.text
  names = {file.name for file in out.glob("mine*.png")}
  assert names == {"mine.png", "mine_0.png", "mine_1.png"}
  with Image.open(out / "mine_1.png") as found:
    assert found.size == (80, 45)


def test_the_command_never_writes_over_its_photo(picture):
  before = picture.read_bytes()
  words = [f"--image={picture}", f"--out={picture.parent}"]
  done = launching.within("launch.colourise", *words)
  assert done.code == 1
  assert "is the input" in done.text
  assert picture.read_bytes() == before


def test_faithful_without_an_image_is_refused(run):
  words = ["--faithful", f"--workdir={run.folder}"]
  done = launching.within("launch.colourise", *words)
  assert done.code == 1
  assert done.text.startswith("error: --faithful")
  assert "give --image" in done.text


def test_scores_order_what_must_be_ordered(run):
  scores, sheet = score.score(run, variants=3)
  kinds = scores["contenders"]
  truth = kinds["truth recomposed"]
  assert truth["error"] == 0
  for kind, row in kinds.items():
    assert row["delta_e"] >= truth["delta_e"] - 1e-9, kind
  one = kinds["model, one latent"]
  best = kinds["model, best of its variants"]
  assert best["delta_e"] <= one["delta_e"]
  assert kinds["grey"]["chroma_ratio"] == pytest.approx(0, abs=0.02)
  assert scores["variety_delta_e"] > 0
  assert sheet.shape == (2, 7, 112, 112, 3)
  assert "truth recomposed" in score.table(scores).splitlines()[1]


def test_the_scores_of_images_say_where_a_colouring_has_its_own(run):
  with pytest.raises(runs.RunError, match=r"colouring .* launch\.colourise"):
    image_score.score(run)


def test_the_report_holds_every_run_below_a_folder(run, tmp_path):
  paths = reports.write("colour", run.folder.parent, tmp_path)
  assert all(path.exists() for path in paths)
  page = paths[0].read_text()
  assert "launch.report colour --runs=runs --out=" in page
  assert "## useful\n\n2 photos train it, 2 are held out" in page
  assert "baseline, nearest grey" in page
  assert str(run.folder.parent) not in page
  with pytest.raises(reports.ReportError, match="no colouring run"):
    reports.write("colour", tmp_path, tmp_path)


@pytest.mark.parametrize(
  ("finals", "words"),
  [
    (((0.16, 0.13), (0.16, 0.12)), "**confirmed**: lower in 2 of 2 seeds"),
    (((0.16, 0.17), (0.16, 0.12)), "**undecided**: lower in 1 of 2 seeds"),
    (((0.16, 0.17),), "**refuted**: lower in 0 of 1 seeds"),
    ((), "Not measured here"),
  ],
)
def test_model_3_is_held_against_model_1_seed_by_seed(tmp_path, finals, words):
  found = {}
  for seed, losses in enumerate(finals):
    for model, loss in zip((1, 3), losses, strict=True):
      settings = config.load(f"configs/colour.py:model={model},prepared")
      settings.seed = seed
      folder = tmp_path / f"{model}_{seed}"
      folder.mkdir()
      (folder / "config.json").write_text(config.to_json(settings))
      found[folder] = [{"epoch": 5, "model/loss": loss}]
  assert words in colour_report._claim(found)


def test_metrics_of_photos_that_are_known():
  rng = np.random.default_rng(0)
  true = rng.random((8, 8, 3))
  lab = metrics.lab(true)
  assert metrics.delta_e(lab, lab) == 0
  assert metrics.chroma_ratio(lab * (1, 0.5, 0.5), lab) == pytest.approx(0.5)
  assert metrics.psnr(np.full((4, 4, 3), 0.5), np.full((4, 4, 3), 0.6)) == (
    pytest.approx(20.0)
  )
  # The first pair of Sharma et al.'s test data for CIEDE2000.
  pair = np.array([[50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485]])
  assert metrics.delta_e(*pair) == pytest.approx(2.0425, abs=1e-4)
  shifted = lab + np.array([10.0, 0.0, 0.0])
  expected = metrics.delta_e(lab, shifted) * 2 / 3
  assert metrics.variety([lab, lab, shifted]) == pytest.approx(expected)
