"""The zoo's report on faces: generated ones alone, measured where data are."""

import numpy as np
import pytest
from PIL import Image

import reports
from cvae_jax import config as configs, data, runs
from cvae_jax.data import DataError
from cvae_jax.measures import kept, likeness
from reports.zoo import runs as zoo_runs
from tests import small, small_zoo
from tests.caae_test import SMALL as CAAE
from tests.dfc_vae_test import SMALL as DFC
from tests.zoo_report_test import record, rows_of, scores

pytestmark = pytest.mark.usefixtures("plain_convolutions")
PROTOCOL = {"images": 4, "samples": 64, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """An untrained plain VAE and an untrained CAAE of drawn faces."""
  folder = tmp_path_factory.mktemp("faces")
  for name, changes in (("dfc_vae,layers=pixel", DFC), ("caae", CAAE)):
    config = configs.load(f"configs/zoo_faces.py:{name},smoke", changes)
    state = small.drawn(configs.resolve(config))
    run = folder / name
    small_zoo.save(config, state, run, {"psnr": 14.0})
    figures = {"correlation": 0.75, "floor": 0.125, "slope": 0.5}
    figures["samples"] = 450
    asked = {"Bald": {"sweep": figures, "real": figures}}
    record(run, scores(None) | {"control": asked})
    protocol = kept.identify_state(runs.load(run)) | PROTOCOL
    known = {"protocol": protocol, "distances": {"sampled_ratio": 0.25}}
    kept.write(run, "variety", known)
  return folder


def test_faces_are_tabled_with_their_floor_and_drawn(
  folder, tmp_path, monkeypatch
):
  calls = []

  def measure(found, dataset):
    calls.append(len(dataset.test["image"]))
    floor = {"frechet_vgg16": 2.5, "sliced": 0.01}
    known = {
      "lpips": 0.3,
      "frechet_vgg16": 50.0,
      "sliced": 0.05,
      "precision": 0.5,
    }
    known |= {"recall": 0.1, "floor": floor, "protocol": {"images": 4}}
    return [known for _ in found]

  monkeypatch.setattr(likeness, "measure", measure)
  encoded = []
  monkeypatch.setattr(runs.Run, "encode", lambda *how: encoded.append(how))
  page, *written = reports.write("zoo", folder, tmp_path / "out")
  pictures = [path for path in written if path.suffix == ".png"]
  assert [path.name for path in pictures] == ["zoo_faces.png", "zoo_caae.png"]
  assert encoded == []  # so no picture is of a real face
  for path in pictures:
    with Image.open(path) as picture:
      assert len(np.unique(np.asarray(picture))) > 20
  rows = rows_of(page.read_text(), "Faces")
  assert list(rows) == ["pixel VAE", "CAAE", "training faces"]
  caae = rows["CAAE"]
  floor = rows["training faces"]
  assert (caae["PSNR, dB"], caae["variety"]) == ("14", "0.25")
  assert (caae["Fréchet (VGG16)"], floor["Fréchet (VGG16)"]) == ("50", "2.5")
  assert (caae["LPIPS"], floor["LPIPS"]) == ("0.3", "–")
  assert "set 4 samples beside as many held-out faces" in page.read_text()
  assert rows_of(page.read_text(), "Control of attributes")["CAAE"] == {
    "system": "CAAE",
    "attribute": "Bald",
    "asked for": "0.75",
    "as real faces": "0.75",
    "ceiling": "–",
    "floor": "0.125",
    "slope": "0.5",
    "samples": "450",
  }
  assert calls == [4, 4]  # their attributes differ, so their data do


def test_without_the_weights_the_rest_is_reported(folder, monkeypatch, capsys):
  def missing(found, dataset):
    raise DataError("no weights of vgg16; pip install lpips")

  monkeypatch.setattr(likeness, "measure", missing)
  zoo = zoo_runs.measure_all(zoo_runs.collect(folder))
  (entry,) = zoo.of("CAAE")
  assert entry.variety["distances"]["sampled_ratio"] == 0.25
  assert entry.likeness == {}
  assert "not measured in full: no weights of vgg16" in capsys.readouterr().out
  monkeypatch.setattr(data, "load", lambda config: missing(0, config))
  (entry,) = zoo_runs.measure_all(zoo_runs.collect(folder)).of("CAAE")
  assert (entry.variety, entry.likeness) == ({}, {})
