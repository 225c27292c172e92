"""The comparison's report: its figures are the runs', its verdicts theirs."""

import json
import re
import shutil

import numpy as np
import pytest
import scipy.stats
from PIL import Image

import reports
from cvae_jax import config as configs, pages, runs, train
from cvae_jax.host.files import write_atomically
from cvae_jax.loop import distances
from cvae_jax.loop.folder import restore, same_run
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.measures import collapse, kept
from cvae_jax.nets.fast import ops
from reports.compare import (
  cells as compare_cells,
  claims as compare_claims,
  curves as compare_curves,
  records,
  rules,
)
from reports.compare.cells import Cell, ae, vae
from tests.reports_test import rows_of, section
from tests.watch_test import replay

NETS = {
  "vae": ("encoder", "decoder"),
  "gan": ("critic", "generator"),
}
EPOCHS = 9
HELD_OUT = ("held-out/critic", "held-out/generator")


def embed(images):
  """Stands for VGG16, whose weights may not be here."""
  return images.reshape(len(images), -1)[:, ::97]


@pytest.fixture(scope="module", autouse=True)
def plain():
  """Leaves convolutions to XLA, whose programs are short to compile."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(ops, "fast_on_cpu", lambda: False)
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A VAE and a GAN, trained for a few steps on drawn faces."""
  folder = tmp_path_factory.mktemp("compare")
  for name, (trunk, decoder) in NETS.items():
    changes = {
      "data.count": 60,
      "data.image_shape": (16, 16, 3),
      "epochs": EPOCHS,
      "batch_size": 27,
      "log_every": 9,
      "checkpoint_every": 18,
      "model.latents": 128,
      f"model.{trunk}.features": (2, 3),
      f"model.{decoder}.map": (4, 4, 3),
      f"model.{decoder}.features": (2, 3),
      "distance.images": 6,
      "distance.sliced": 8,
      "distance.directions": 16,
      "early_stop.metric": "",
    }
    config = configs.load(f"configs/compare.py:{name},smoke", changes)
    train.train_and_evaluate(config, folder / name)
  return folder


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
  out = tmp_path_factory.mktemp("docs")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(distances, "load_embedding", lambda file="": embed)
    patch.setattr(compare_curves, "FEWEST", EPOCHS)
    paths = reports.write("compare", folder, out)
  names = sorted(path.name for path in paths)
  assert names == sorted(path.name for path in out.rglob("*.*"))
  assert {"compare_vae.png", "compare_gan.png"} < {*names}
  for path in paths:
    if path.suffix != ".png":
      continue
    with Image.open(path) as picture:
      assert picture.width > 100
  return paths[0].read_text()


def test_it_says_what_it_is_of_and_what_is_missing(page, folder):
  assert f"launch.report compare --runs={folder.name} --out=" in page
  assert str(folder) not in page
  assert "54 drawn faces train, 6 are held out" in page
  missing = page.split("Not trained: ")[1].split(". Trained on")[0]
  known = {str(vae(128)), str(Cell("GAN", 128))}
  absent = {str(cell) for cell in compare_cells.list_cells()} - known
  assert {*missing.split("; ")} == absent
  verdicts = page.split("## What the source found")[1]
  assert verdicts.count("not measured.**") == 6
  assert "GAN of 512 (not trained)" in verdicts


def test_its_ablation_is_the_runs_records(page, folder):
  rows = {row["system"]: row for row in rows_of(page, "Ablation")}
  assert [*rows] == ["VAE", "GAN"]
  test = [r for r in read_metrics(folder / "vae") if r["split"] == "test"][-1]
  for name, column in (("BCE", "bce"), ("MSE", "mse"), ("PSNR, dB", "psnr")):
    assert float(rows["VAE"][name].replace(",", "")) == pytest.approx(
      test[column], rel=1e-3
    )
  assert rows["VAE"]["β"] == "1"
  assert rows["GAN"]["BCE"] == rows["GAN"]["active"] == "–"
  for name in NETS:
    known = kept.read(folder / name, "collapse")
    prior = known["samples"]["prior"]
    row = rows[name.upper()]
    for column, key in (
      ("sliced", "sliced"),
      ("Fréchet-VGG16", "frechet_vgg16"),
    ):
      assert float(row[column]) == pytest.approx(prior[key], rel=1e-3)
  modes = rows_of(page, "Collapse of the modes")
  assert [(r["system"], r["z"]) for r in modes] == [
    ("VAE", "N(0, I)"),
    ("VAE", "fitted"),
    ("GAN", "N(0, I)"),
  ]


def test_its_correlations_are_scipys_of_the_records(page, folder):
  section = page.split("### Stopping")[0]
  rows = rows_of(section, "Which signal tracks quality")
  found = {(row["system"], row["signal"]): row for row in rows}
  record = read_metrics(folder / "gan")
  tests, epochs = (
    [r for r in record if r["split"] == split] for split in ("test", "epoch")
  )
  assert len(tests) == EPOCHS
  sliced = [row["sliced"] for row in tests]
  for name in ("critic/loss", "generator/loss", "critic/gap", *HELD_OUT):
    rows = tests if name in HELD_OUT else epochs
    loss = [row[name.removeprefix("held-out/")] for row in rows]
    plain = scipy.stats.spearmanr(loss, sliced).statistic
    of_epoch = [
      scipy.stats.spearmanr(x, range(EPOCHS)).statistic for x in (loss, sliced)
    ]
    # The textbook's partial correlation.
    spread = np.sqrt((1 - of_epoch[0] ** 2) * (1 - of_epoch[1] ** 2))
    given = plain - of_epoch[0] * of_epoch[1]
    row = found["GAN", name]
    shown = float(row["rank correlation"].replace("−", "-"))
    assert shown == pytest.approx(plain, abs=1e-3)
    if spread < 1e-6:  # it does nothing but rise or fall
      assert row["given the epoch"] == "–"
      continue
    shown = float(row["given the epoch"].replace("−", "-"))
    assert shown == pytest.approx(given / spread, abs=1e-3)
  stops = page.split("### Stopping by a distance")[1]
  row = next(line for line in stops.splitlines() if line.startswith("| GAN"))
  cells = [cell.strip() for cell in row.strip("|").split("|")]
  at, best = replay(sliced, **compare_curves.RULE)
  assert cells[6:8] == ["–" if at is None else f"{at + 1}", f"{best + 1}"]


def test_real_images_are_drawn_into_the_runs_folder_alone(page, folder):
  assert (folder / "vae" / "reconstructions.png").exists()
  assert not (folder / "gan" / "reconstructions.png").exists()
  assert "reconstructions.png" not in page


def test_a_checkpoint_is_measured_once(page, folder, tmp_path, monkeypatch):
  path = folder / "vae" / kept.FILE
  before = path.read_text()
  monkeypatch.setattr(distances, "load_embedding", lambda file="": embed)
  monkeypatch.setattr(runs.Run, "encode", None)  # fails if it were asked
  monkeypatch.setattr("reports.compare.report._reconstruct", lambda *_: None)
  reports.write("compare", folder, tmp_path)
  assert path.read_text() == before


@pytest.fixture
def alike(monkeypatch):
  """Measures as `page` does, so that nothing is measured again."""
  monkeypatch.setattr(distances, "load_embedding", lambda file="": embed)
  monkeypatch.setattr(compare_curves, "FEWEST", EPOCHS)


@pytest.mark.usefixtures("alike")
def test_a_ledger_gives_the_same_page_without_any_run(page, folder, tmp_path):
  reports.write("compare", folder, tmp_path)  # writes the ledger
  written = reports.write("compare", tmp_path / "none", tmp_path)
  assert [path.name for path in written] == [
    "compare_report.md",
    "compare_curves.png",
  ]
  again = written[0].read_text()
  assert "Only of the ledger, so without pictures: VAE of 128" in again
  assert "## Samples" not in again
  for heading in ("Ablation", "Collapse of the modes"):
    assert section(again, heading) == section(page, heading)
  verdicts = [
    re.findall(r"\*\*.*?\*\*", section(text, "What the source found"))
    for text in (page, again)
  ]
  assert len(verdicts[0]) == 9
  assert verdicts[0] == verdicts[1]


@pytest.mark.usefixtures("alike")
def test_of_one_cell_in_a_ledger_the_longest_run_counts(folder, tmp_path):
  reports.write("compare", folder, tmp_path)
  entry = tmp_path / "results" / "compare_gan,smoke.json"
  found = json.loads(entry.read_text())
  last = found["rows"][-1] | {"split": "epoch", "step": 2000, "epoch": 90.0}
  found["rows"].append(last | {"critic/loss": 1.0, "generator/loss": 1.0})
  found["measures"]["collapse"]["protocol"]["step"] = 2000
  (tmp_path / "results" / "a_longer_one.json").write_text(json.dumps(found))
  found["measures"]["collapse"]["protocol"]["step"] = 1
  (tmp_path / "results" / "short.json").write_text(json.dumps(found))
  reports.write("compare", tmp_path / "none", tmp_path)
  rows = rows_of((tmp_path / "compare_report.md").read_text(), "Ablation")
  assert [row["epochs"] for row in rows if row["system"] == "GAN"] == ["90"]


@pytest.mark.usefixtures("alike")
def test_an_entry_of_other_images_does_not_stand_beside_the_rest(
  folder, tmp_path, capsys
):
  reports.write("compare", folder, tmp_path)
  entry = tmp_path / "results" / "compare_vae,smoke.json"
  found = json.loads(entry.read_text())
  found["data"]["test"]["image"]["sha256"] = "0" * 64
  entry.write_text(json.dumps(found))
  reports.write("compare", tmp_path / "none", tmp_path)
  rows = rows_of((tmp_path / "compare_report.md").read_text(), "Ablation")
  assert [row["system"] for row in rows] == ["GAN"]
  said = capsys.readouterr().out
  assert f"{entry}: left out, it was not measured alike: other held-out" in said
  assert "none is no folder" in said


@pytest.mark.parametrize(
  ("distances", "outcome"),
  [
    ((8.0, 8.0), "confirmed"),
    ((8.0, 80.0), "undecided"),
    ((80.0, 80.0), "contradicted"),
  ],
)
def test_a_claim_is_judged_by_pairs_of_one_seed(distances, outcome):
  found = made()
  for seed, distance in enumerate(distances, 1):
    for kind in ("VAE", "GAN"):
      own = {(kind,): {"frechet_vgg16": distance if kind == "GAN" else 10.0}}
      more = made(own)
      found |= {
        cell._replace(seed=seed): run
        for cell, run in more.items()
        if cell.kind == kind
      }
  first = made({("GAN",): {"frechet_vgg16": distances[0]}})
  found |= {cell: run for cell, run in first.items() if cell.kind == "GAN"}
  assert outcomes(found=found)["vae"] == outcome
  assert "seed 2" in str(compare_claims.verdicts(found)[4].reasons)


def test_the_expected_cells_are_the_sweep_s():
  path = "configs/compare.py"
  swept = {
    compare_cells.cell(configs.load(f"{path}:{variant}"))
    for variant in pages.variants(path)
  }
  assert swept == {*compare_cells.list_cells()}


@pytest.mark.parametrize("kind", ["ae", "vae,mean", "gan", "wgan_gp"])
def test_runs_of_the_first_release_recorded_no_name_and_keep_cells(kind):
  config = configs.load(f"configs/compare.py:{kind}")
  cell = compare_cells.cell(config)
  with config.unlocked():
    config.name = ""
  assert compare_cells.cell(config) == cell


def test_what_cannot_be_compared_is_explained(folder, tmp_path):
  with pytest.raises(reports.ReportError, match="no run of the comparison"):
    reports.write("compare", tmp_path, tmp_path)
  for name in ("vae", "again"):
    copied = tmp_path / name
    copied.mkdir()
    for path in folder.glob("vae/*.*"):
      shutil.copy(path, copied)
  with pytest.raises(reports.ReportError, match="no run of the comparison"):
    reports.write("compare", tmp_path, tmp_path)  # without checkpoints
  for name in ("vae", "again"):
    (tmp_path / name / "checkpoints" / "1").mkdir(parents=True)
  with pytest.raises(reports.ReportError, match=r"both VAE of 128 .* β 1; rep"):
    reports.write("compare", tmp_path, tmp_path)
  config = (copied / "config.json").read_text()
  other = json.loads(config) | {"system": "gan", "loss": {"kind": "logistic"}}
  other["name"] = "compare:gan"
  other["data"]["image_shape"] = [32, 32, 3]
  write_atomically(copied / "config.json", json.dumps(other))
  with pytest.raises(reports.ReportError, match=r"images of \[16, 32\] pixels"):
    reports.write("compare", tmp_path, tmp_path)


def copy_run(folder, out, name="vae", **changes):
  """Copies a run, its config changed: {group__key: value}."""
  shutil.copytree(folder / name, out / name)
  path = out / name / "config.json"
  config = json.loads(path.read_text())
  for key, value in changes.items():
    group, _, key = key.partition("__")
    config[group][key] = value
  write_atomically(path, json.dumps(config))
  (out / name / "data.json").unlink()  # it would not fit the changed config
  return out / name


@pytest.fixture(autouse=True)
def edited(monkeypatch):
  """Lets tests edit a config.json, which its checkpoints no longer fit."""
  for module in (restore, same_run):
    monkeypatch.setattr(module, "check_config", lambda *_: None)


@pytest.fixture
def unmeasured(monkeypatch):
  """Measures nothing but by how the images would be set beside samples."""
  monkeypatch.setattr(distances, "load_embedding", lambda file="": embed)
  monkeypatch.setattr("reports.compare.report._reconstruct", lambda *_: None)
  monkeypatch.setattr("reports.compare.report._samples", lambda *_: {})
  monkeypatch.setattr(
    collapse,
    "measure",
    lambda run, held: {"protocol": {"step": id(run), **held.protocol()}},
  )


@pytest.mark.parametrize(
  ("changes", "unlike"),
  [
    ({"distance__images": 5}, "images 5 and 6"),
    ({"data__count": 50}, r"counts \[45, 5\] and \[54, 6\]"),
  ],
)
def test_runs_that_were_not_measured_alike_are_not_compared(
  folder, tmp_path, unmeasured, changes, unlike
):
  copy_run(folder, tmp_path, "vae", **changes)
  copy_run(folder, tmp_path, "gan")
  with pytest.raises(reports.ReportError, match=rf"vae and .*gan .*{unlike}"):
    reports.write("compare", tmp_path, tmp_path / "docs")


def test_a_run_with_too_few_held_out_images_is_named_not_measured(
  folder, tmp_path, capsys
):
  path = copy_run(folder, tmp_path, "gan", data__count=30)
  (path / kept.FILE).unlink(missing_ok=True)
  reports.write("compare", tmp_path, tmp_path / "docs")
  said = capsys.readouterr().out
  assert f"{path}: not measured: sets of 4 images or more" in said
  page = (tmp_path / "docs" / "compare_report.md").read_text()
  assert "Without enough held-out images" in page


def test_the_state_that_was_measured_counts_not_the_run_s_last(folder):
  run = runs.load(folder / "gan")
  last = [r for r in read_metrics(run.folder) if r["split"] == "epoch"][-1]
  steps = last["step"] // EPOCHS
  for critic_steps, take_best, age in ((1, False, 9), (2, True, 4)):
    config = configs.ConfigDict(run.config.to_dict())
    config.optim.critic_steps = critic_steps
    config.early_stop.restore = take_best
    record = records.make_record(Folder(run.folder), Cell("GAN", 128))
    found = records.describe_state(record | {"config": config}, age * steps)
    assert found["trained"] == ("9 (best 4)" if take_best else "9")
    assert found["updates"] == age * steps // critic_steps
    assert found["test"]["step"] == age * steps


# Verdicts, on figures that are made up.

SAMPLES = {"sliced": 0.1, "frechet_vgg16": 10.0, "ratio": 0.9}
SAMPLES |= {"near_duplicates": 0.01, "near_duplicates_pixels": 0.01}
SAMPLES |= {"precision": 0.5, "recall": 0.5}
SPACES = ("near_duplicates", "near_duplicates_pixels")
SAMPLES |= {f"{space}_interval": [0.0, 0.04] for space in SPACES}
TWICE = dict.fromkeys(SPACES, 0.2)
TWICE |= {f"{space}_interval": [0.15, 0.25] for space in SPACES}
UNSURE = {f"{space}_interval": [0.01, 0.06] for space in SPACES}
STOP = {"by": "sliced", "of": "frechet_vgg16", "stops": 9.0, "keeps": 4.0}
STOP |= {"ends": 16.0, "kept": 10.0, "lowest": 10.0, "last": 20.0}


def made(changes=()):
  """Make all runs, each worth the same but for {(kind, latents): changes}."""
  found = {}
  for cell in compare_cells.list_cells():
    run = {
      "cell": cell,
      "complete": True,
      "epochs": 9,
      "updates": 100,
      "posterior": {"ratio": 0.5, "active": 9, "of": cell.latents},
      "samples": {"prior": SAMPLES, "fitted": SAMPLES},
      "tracking": {},
      "stop": STOP,
    }
    own = {}
    for key, values in dict(changes).items():
      if key == cell[: len(key)]:
        own |= values
    prior = SAMPLES | {k: v for k, v in own.items() if k in SAMPLES}
    run["samples"] = {"prior": prior, "fitted": SAMPLES}
    run["posterior"] |= {"ratio": own.get("posterior", 0.5)}
    run["real"] = {"sliced": 0.01, "frechet_vgg16": own.get("floor", 0.3)}
    for name in ("tracking", "complete", "stop", "updates"):
      run[name] = own.get(name, run[name])
    found[cell] = run
  return found


def outcomes(changes=(), found=None):
  """Return each verdict's outcome by the first words of its claim."""
  judged = compare_claims.verdicts(made(changes) if found is None else found)
  names = ("size", "cause", "useless", "ae", "vae", "modes", "losses")
  names += ("stop", "remedy")
  return dict(zip(names, (v.outcome for v in judged), strict=True))


CASES = [
  ("size", {("VAE", 128): {"posterior": 0.01}}, "confirmed"),
  ("size", {}, "contradicted"),
  (
    "size",
    {("VAE", 128, "mean, mean"): {"posterior": 0.01}},
    "undecided",
  ),
  ("size", {("VAE",): {"posterior": 0.01}}, "contradicted"),
  (
    "cause",
    {("VAE", z, "mean, mean"): {"posterior": 0.01} for z in (128, 512)},
    "confirmed",
  ),
  ("cause", {}, "contradicted"),
  ("useless", {("GAN", 128): {"frechet_vgg16": 25.0}}, "confirmed"),
  ("useless", {("GAN", 128): {"frechet_vgg16": 15.0}}, "undecided"),
  ("useless", {}, "contradicted"),
  ("ae", {("AE",): {"frechet_vgg16": 12.0}}, "confirmed"),
  ("ae", {("AE", 128): {"frechet_vgg16": 12.0}}, "undecided"),
  ("ae", {("AE",): {"frechet_vgg16": 8.0}}, "contradicted"),
  ("vae", {("GAN",): {"frechet_vgg16": 8.0}}, "confirmed"),
  ("vae", {}, "undecided"),
  # A difference within what two sets of real images have.
  (
    "vae",
    {("VAE",): {"floor": 3.0}, ("GAN",): {"frechet_vgg16": 8.0}},
    "undecided",
  ),
  ("vae", {("GAN",): {"frechet_vgg16": 8.0, "updates": 1}}, "undecided"),
  ("vae", {("GAN",): {"frechet_vgg16": 80.0, "updates": 1}}, "undecided"),
  ("vae", {("GAN",): {"frechet_vgg16": 80.0}}, "contradicted"),
  ("vae", {("GAN",): {"frechet_vgg16": 80.0, "precision": 0.0}}, "undecided"),
  ("useless", {("GAN", 512): {"precision": 0.0}}, "undecided"),
  ("useless", {("GAN", 128): {"updates": 1}}, "undecided"),
  ("modes", {("GAN",): TWICE}, "confirmed"),
  (
    "modes",  # what one space alone sees does not count
    {("GAN",): TWICE | {SPACES[0]: 0.01, f"{SPACES[0]}_interval": [0, 0.04]}},
    "contradicted",
  ),
  ("modes", {("GAN",): {"ratio": 0.4}}, "confirmed"),
  ("modes", {("GAN",): UNSURE}, "undecided"),
  ("modes", {("GAN",): {"precision": 0.0}}, "undecided"),
  ("modes", {}, "contradicted"),
  ("losses", {}, "not measured"),
  ("stop", {}, "confirmed"),
  ("stop", {(): {"stop": STOP | {"kept": 15.0}}}, "contradicted"),
  ("stop", {(): {"stop": {}}}, "not measured"),
  ("stop", {(): {"stop": STOP | {"stops": None}}}, "undecided"),
  ("stop", {("GAN",): {"stop": STOP | {"stops": None}}}, "undecided"),
  ("stop", {(): {"stop": STOP | {"ends": 9.0}}}, "undecided"),
  ("stop", {(): {"stop": STOP | {"by": "frechet_vgg16"}}}, "not measured"),
  # The GAN lost no mode, so there is none to cure.
  ("remedy", {("WGAN-GP",): {"recall": 0.9, "ratio": 0.95}}, "not measured"),
  ("remedy", {("GAN",): TWICE}, "confirmed"),
  ("remedy", {("GAN",): TWICE | {"recall": 0.7}}, "undecided"),
  (
    "remedy",
    {("GAN",): TWICE, ("WGAN-GP",): TWICE | {"recall": 0.4}},
    "contradicted",
  ),
  (  # Less than what counts.
    "remedy",
    {("GAN",): TWICE, ("WGAN-GP",): TWICE | {"recall": 0.51, "ratio": 0.91}},
    "undecided",
  ),
  ("remedy", {("GAN",): {"complete": False}}, "not measured"),
  ("remedy", {("GAN",): TWICE, ("WGAN-GP",): {"updates": 49}}, "undecided"),
  ("remedy", {("GAN",): TWICE, ("WGAN-GP",): {"updates": 50}}, "confirmed"),
]


@pytest.mark.parametrize(("claim", "changes", "outcome"), CASES)
def test_a_verdict_follows_from_the_figures(claim, changes, outcome):
  assert outcomes(changes)[claim] == outcome


@pytest.mark.parametrize(
  ("losses", "outcome"),  # of each (rank correlation, given the epoch)
  [
    ({"critic/loss": (0.3, 0.9), "generator/loss": (-0.2, 0.9)}, "confirmed"),
    (
      {"critic/loss": (0.9, 0.8), "generator/loss": (-0.2, 0.1)},
      "contradicted",
    ),
    (
      {"critic/loss": (0.9, 0.1), "generator/loss": (-0.8, -0.9)},
      "contradicted",
    ),
    ({"critic/loss": (0.9, 0.7), "generator/loss": (0.2, 0.9)}, "undecided"),
    ({"critic/loss": (-0.9, 0.9), "generator/loss": (0.2, 0.9)}, "undecided"),
    ({"critic/loss": (0.9, None), "generator/loss": (0.2, 0.9)}, "undecided"),
    ({"critic/loss": (0.6, 0.6), "generator/loss": (None, None)}, "undecided"),
    (
      {"critic/loss": (0.3, 0.1), "held-out/critic": (0.9, 0.85)},
      "contradicted",
    ),
    (
      {"critic/loss": (0.3, 0.1), "held-out/generator": (0.6, 0.1)},
      "undecided",
    ),
    (
      {"critic/loss": (None, None), "generator/loss": (None, None)},
      "not measured",
    ),
  ],
)
def test_losses_that_rise_or_fall_with_the_distance_tell_of_it(losses, outcome):
  names = ("rank correlation", "given the epoch")
  signals = losses | {"critic/gap": (1.0, 1.0)}  # no loss
  tracking = {
    signal: dict(zip(names, values, strict=True)) | {"floor": 0.5}
    for signal, values in signals.items()
  }
  changes = {("GAN",): {"tracking": tracking}}
  assert outcomes(changes)["losses"] == outcome


def tracked(share, seed, count):
  """Tells whether one of five losses tracks the distance, in a drawn run.

  All fall as exp(−t/4) does; the first has the distance's own noise too.
  """
  rng = np.random.default_rng(seed)
  trend = np.exp(-np.arange(count) / 4)
  distance = trend + 0.03 * rng.standard_normal(count)
  losses = trend + 0.03 * rng.standard_normal((5, count))
  if share:
    losses[0] = distance + 0.005 * rng.standard_normal(count)
  steps = range(count)
  epochs = [
    {"step": t} | {f"{i}/loss": x[t] for i, x in enumerate(losses)}
    for t in steps
  ]
  tests = [{"step": t, "sliced": distance[t]} for t in steps]
  found = compare_curves.correlate_losses(epochs, tests)
  return any(rules.strength(values)[0] for values in found.values())


@pytest.mark.parametrize("count", [compare_curves.FEWEST, 40])
def test_a_trend_alone_seldom_tracks_and_a_loss_that_tells_does(
  count, monkeypatch
):
  monkeypatch.setattr(compare_curves, "ORDERS", 100)
  runs_drawn = range(100)
  assert sum(tracked(False, seed, count) for seed in runs_drawn) <= 10
  assert sum(tracked(True, seed, count) for seed in range(20)) >= 16


def test_few_evaluations_are_not_correlated():
  rows = [{"step": t, "a/loss": -t, "sliced": -t} for t in range(15)]
  assert compare_curves.correlate_losses(rows, rows) == {}


def test_a_floor_is_what_the_best_of_unlinked_signals_reaches():
  rng = np.random.default_rng(1)
  noise = rng.standard_normal((6, 40))
  one = compare_curves._floor(noise[:1], noise[-1])
  several = compare_curves._floor(noise[:5], noise[-1])
  # 95 % of |ρ| of 38 degrees of freedom.
  assert one == pytest.approx(0.31, abs=0.06)
  assert several > one + 0.05


def test_a_run_without_such_a_rule_is_replayed_by_one_of_the_distance_alone():
  own = {"metric": "psnr", "mode": "max", "min_delta": 9.0, "patience": 1}
  config = configs.ConfigDict(configs.loop(early_stop=own))
  values = [*np.linspace(1.0, 0.5, 6), *[0.6] * 10]
  tests = [
    {"step": at, "epoch": at + 1.0, "sliced": value}
    for at, value in enumerate(values)
  ]
  found = compare_curves.stop(config, tests)
  at, best = replay(values, **compare_curves.RULE)
  assert at is not None
  assert (found["stops"], found["keeps"], found["ends"]) == (
    at + 1,
    best + 1,
    16,
  )


@pytest.mark.parametrize(
  ("row", "stop", "drawn", "absent"),
  [
    ({}, {}, "Training losses", "green red dashed dotted"),
    ({"sliced": 0.1}, STOP | {"stops": None}, "green dashed", "red dotted"),
    ({"sliced": 0.1}, STOP, "green dashed dotted", "red"),
    ({"sliced": 0.1, "frechet_vgg16": 9.0}, STOP, "green red dotted", ""),
  ],
)
def test_the_curves_caption_names_what_is_drawn_alone(row, stop, drawn, absent):
  run = {"rows": {"epoch": [], "test": [row]}, "stop": stop}
  words = compare_curves.caption([run])
  for word in drawn.split():
    assert word in words
  for word in absent.split():
    assert word not in words


def test_without_runs_nothing_is_judged_and_all_is_named():
  judged = compare_claims.verdicts({})
  assert {verdict.outcome for verdict in judged} == {"not measured"}
  reasons = " ".join(r for verdict in judged for r in verdict.reasons)
  for cell in compare_cells.list_cells():
    assert f"{cell} (not trained)" in reasons


def test_without_features_the_sliced_distance_ranks():
  found = made({("AE",): {"sliced": 0.2}})
  for run in found.values():
    for samples in run["samples"].values():
      samples.pop("frechet_vgg16", None)
  judged = compare_claims.verdicts(found)
  assert judged[3].outcome == "confirmed"
  assert "sliced 0.2 and 0.1" in judged[3].reasons[0]


def test_pictures_are_of_the_plain_vae_of_most_latents():
  cells = [ae(128), ae(512), vae(512, "mean, mean"), vae(128), vae(512, beta=4)]
  assert compare_cells.choose_drawn(cells) == {"AE": ae(512), "VAE": vae(128)}
