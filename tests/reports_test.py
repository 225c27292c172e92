"""Reports on sweeps: complete, repeatable, and no verdict without figures."""

import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from scipy import stats

import reports
from cvae_jax import config as configs, runs, train
from cvae_jax.host.files import write_atomically
from cvae_jax.loop.folder import fixed, folders
from cvae_jax.measures import kept, ledger, score, table
from reports import claims, markdown
from reports.faces import claims as face_claims, text as face_text
from tests import small

pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
  """Two short runs that say they are models 9 and 11."""
  folder = tmp_path_factory.mktemp("ladder")
  for model, weight in ((9, 0.05), (11, 0.002)):
    config = small.config(
      data, "faces", reference=f"faces/{model}", loss__mse=weight
    )
    train.train_and_evaluate(config, folder / f"model={model}")
  return folder


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
  out = tmp_path_factory.mktemp("docs")
  paths = reports.write("faces", folder, out)
  for path in paths:
    if path.suffix != ".png":
      continue
    with Image.open(path) as picture:
      assert picture.width > 100
  return paths[0].read_text()


def section(page, heading):
  """Return what stands below a heading, up to the next one."""
  return page.split(f"## {heading}")[1].split("\n##")[0]


def rows_of(page, heading):
  lines = section(page, heading).splitlines()
  cells = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in lines
    if line.startswith("|")
  ]
  return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_the_report_says_what_it_is_of_and_which_command_wrote_it(page, folder):
  assert f"launch.report faces --runs={folder.name} --out=" in page
  assert str(folder) not in page
  assert "87 drawn faces train the models, 9 are held out" in page
  assert "Not trained: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15." in page
  assert "Not trained to the end: 9, 11." in page


def test_its_training_table_is_the_runs_records(page, folder):
  rows = rows_of(page, "Training")
  assert [row["model"] for row in rows] == ["9", "11"]
  known = table.collect(folder).to_dict("records")
  for row, record in zip(rows, known, strict=True):
    for name, column in (
      ("loss", "loss"),
      ("W · MSE", "weighted_squared_error"),
      ("KL", "kl"),
      ("L2", "l2"),
      ("published", "published"),
    ):
      assert float(row[name]) == pytest.approx(record[column], rel=1e-3)
    assert int(row["parameters"].replace(",", "")) == record["parameters"]
    assert record["seconds"] > 0
    assert row["launches"] == "1"


def test_its_diversity_is_measured_once_for_each_checkpoint(page, folder):
  rows = rows_of(page, "Held-out faces and diversity")
  for row in rows:
    run = folder / f"model={row['model']}"
    known = kept.read(run, "variety")
    ratio = known["distances"]["one_condition_ratio"]
    assert float(row["one condition"]) == pytest.approx(ratio, rel=1e-3)
    assert known["protocol"]["step"] == 4
    assert known["latents"]["of"] == 4
  marked = known | {"distances": known["distances"] | {"error": 0.1234}}
  kept.write(run, "variety", marked)
  out = folder / "again"
  again = reports.write("faces", folder, out)[0].read_text()
  assert rows_of(again, "Held-out faces and diversity")[1]["error"] == "0.1234"
  marked["protocol"] = known["protocol"] | {"step": 3}  # of an older checkpoint
  kept.write(run, "variety", marked)
  reports.write("faces", folder, out)
  assert kept.read(run, "variety") == known


def test_a_report_needs_no_run_that_the_ledger_has(page, folder, tmp_path):
  ended = [run for run in folders.below(folder) if run.done]
  for run in ended:
    ledger.write(run, tmp_path / reports.LEDGER)
  nothing = tmp_path / "nothing"
  text = reports.write("faces", nothing, tmp_path)[0].read_text()
  for heading in ("Training", "Held-out faces and diversity"):
    known = rows_of(page, heading)
    recalled = rows_of(text, heading)
    assert [row["model"] for row in recalled] == ["9", "11"]
    for name in ("loss", "active latents", "KL", "samples", "error"):
      for ours, theirs in zip(recalled, known, strict=True):
        assert ours.get(name) == theirs.get(name), name


def test_no_verdict_comes_of_half_trained_models(page):
  assert "model 7 → 8): not measured.** model 7 is not trained" in page
  assert "model 9 has 2 of its epochs only" in page


def test_control_scores_are_shown_where_there_are_some(page, folder):
  assert "Not measured: no judge read the samples" in page
  mouth = {"correlation": 0.875, "slope": 0.5, "floor": 0.1}
  hits = {"hit_rate": 0.75, "floor": 0.5}
  scores = {
    "protocol": score.protocol(runs.load(folder / "model=9")),
    "control": {
      "gender": {"sweep": hits, "real": hits, "ceiling": {"hit_rate": 1.0}},
      "mouth": {"sweep": mouth, "real": mouth},  # no unseen face for a ceiling
    },
    "leakage": {"normalised": {"mouth": {"gender": -0.25, "mouth": 1.5}}},
  }
  path = folder / "model=9" / "scores.json"  # as older runs have it
  write_atomically(path, json.dumps(scores))
  text = reports.write("faces", folder, folder / "scored")[0].read_text()
  path.unlink()
  scored, _, rest = text.partition("Independent networks")
  gender, mouth = rows_of(scored, "Control")
  assert (gender["asked for"], gender["ceiling"]) == ("0.75", "1")
  assert (mouth["asked for"], mouth["slope"]) == ("0.875", "0.5")
  assert (mouth["ceiling"], mouth["floor"]) == ("–", "0.1")
  assert "| mouth | −0.25 | 1.5 |" in rest
  scores["protocol"]["step"] = 3  # of an older checkpoint
  write_atomically(path, json.dumps(scores))
  text = reports.write("faces", folder, folder / "scored")[0].read_text()
  path.unlink()
  assert "Not measured: no judge read the samples" in text


def test_a_run_without_a_checkpoint_waits_for_the_next_report(folder, capsys):
  begun = folder / "model=12"
  shutil.copytree(folder / "model=9", begun)
  config = configs.from_json((begun / "config.json").read_text())
  config.reference = "faces/12"
  (begun / "config.json").write_text(configs.to_json(config))
  shutil.rmtree(begun / "checkpoints")
  try:
    text = reports.write("faces", folder, folder / "begun")[0].read_text()
  finally:
    shutil.rmtree(begun)
  assert "left out, it has no checkpoint yet" in capsys.readouterr().out
  assert "10, 12, 13" in text


def test_runs_of_several_seeds_are_listed_and_of_one_seed_refused(
  folder, tmp_path
):
  for seed in (0, 1):
    again = tmp_path / f"seed={seed}"
    shutil.copytree(folder / "model=9", again)
    config = configs.from_json((again / "config.json").read_text())
    config.seed = seed
    (again / "config.json").write_text(configs.to_json(config))
  text = reports.write("faces", tmp_path, tmp_path / "out")[0].read_text()
  listed = text.split("Models of several seeds:")[1].split("\n\n")[1]
  cells = [row.split(" | ")[:2] for row in listed.splitlines()[2:]]
  assert cells == [["| 9", "0"], ["| 9", "1"]]
  shutil.copytree(again, tmp_path / "twice")
  with pytest.raises(reports.ReportError, match="both model 9 of seed 1"):
    reports.write("faces", tmp_path, tmp_path / "out")


def test_the_order_of_models_is_of_finished_ones():
  found = {
    k: {"W": 100, "published": 5.0, "loss": 4.0 + k, "complete": k != 2}
    for k in (1, 2, 3)
  }
  (order,) = face_text._orders(found)
  assert "first: 1, 3;" in order


def models(**changes):
  """Make complete models that all are worth the same, but for changes."""
  same = {"loss": 4.0, "test loss": 4.0, "one_condition": 0.1}
  same |= {"complete": True, "epochs": 16, "seeds": {}}
  weights = {7: 100, 8: 100, 9: 100, 11: 5, 12: 5, 13: 2, 14: 2, 15: 1}
  return {
    k: same | {"W": w} | changes.get(f"m{k}", {}) for k, w in weights.items()
  }


@pytest.mark.parametrize(
  ("loss", "held_out", "outcome"),
  [
    (3.9, 3.9, "confirmed"),
    (3.9, 4.1, "undecided"),
    (3.99, 3.9, "undecided"),  # by 0.25 %
    (4.1, 4.1, "contradicted"),
  ],
)
def test_shortcuts_help_where_both_losses_fall(loss, held_out, outcome):
  found = face_claims.shortcuts(
    models(m8={"loss": loss, "test loss": held_out})
  )
  assert found.outcome == outcome


@pytest.mark.parametrize("order", [1, -1])
def test_an_interval_that_is_no_number_decides_nothing(order):
  intervals = [(0.1, 0.2), (float("nan"), float("nan"))][::order]
  assert claims.outcome_of_all(intervals) == "undecided"


@pytest.mark.parametrize(
  ("falls", "outcome"),
  [
    ((0.010, 0.011, 0.012), "confirmed"),
    ((-0.002, 0.0, 0.001), "contradicted"),  # surely below 0.5 %
    ((-0.02, 0.01, 0.02), "undecided"),
  ],
)
def test_shortcuts_of_several_seeds_are_judged_by_the_interval(falls, outcome):
  def train(seed, loss, held_out):
    made = {"loss": loss, "test loss": held_out, "complete": True}
    return made | {"trained_on": "faces", "epochs": 16}

  seeds = range(3)
  known = models()
  known[7]["seeds"] = {k: train(k, 4.0, 3.0) for k in seeds}
  known[8]["seeds"] = {k: train(k, 3.9, 3 * (1 - falls[k])) for k in seeds}
  found = face_claims.shortcuts(known)
  assert found.outcome == outcome
  interval = stats.ttest_1samp(falls, 0).confidence_interval()
  assert f"{-interval.high:+.2%} to {-interval.low:+.2%}" in found.reasons[1]

  known[7]["seeds"][2]["trained_on"] = "others"  # a pair needs one data set
  assert f"{-falls[2]:+.2%}" not in face_claims.shortcuts(known).reasons[1]


@pytest.mark.parametrize(
  ("distances", "outcome"),
  [
    ((0.09, 0.09, 0.09), "confirmed"),
    ((0.09, 0.098, 0.09), "undecided"),  # one by 2 %
    ((0.09, 0.2, 0.09), "undecided"),
    ((0.2, 0.2, 0.2), "contradicted"),
  ],
)
def test_a_smaller_weight_lowers_diversity_where_it_does_in_every_pair(
  distances, outcome
):
  changes = zip(("m11", "m13", "m15"), distances, strict=True)
  found = face_claims.weight(
    models(**{k: {"one_condition": d} for k, d in changes})
  )
  assert found.outcome == outcome
  assert "W 100 → 5: distance" in found.reasons[0]


def test_pairs_that_lack_a_model_are_named_and_the_others_judged():
  known = models(m11={"one_condition": 0.05}, m15={"one_condition": None})
  del known[12]
  found = face_claims.weight(known)
  assert found.outcome == "confirmed"
  assert "model 12 is not trained" in found.reasons[1]
  assert "model 15 has no one condition" in found.reasons[2]
  del known[9]
  assert face_claims.weight(known).outcome == "not measured"


def test_the_pairs_differ_in_nothing_but_the_weight():
  from cvae_jax import config as configs

  for pair in face_claims.PAIRS:
    old, new = (configs.load(f"configs/faces.py:model={k}") for k in pair)
    changed = {d.partition(":")[0] for d in fixed.differences(old, new)}
    assert changed == {"loss.mse", "reference"}


def test_cells_are_short_and_a_dash_is_what_is_not_known():
  cells = (None, float("nan"), 0.012345, -12345.6, 6276791, 3, "x")
  found = [markdown.cell(value) for value in cells]
  assert found == ["–", "–", "0.01235", "−12,346", "6,276,791", "3", "x"]


def test_a_spread_is_mean_and_deviation_of_what_is_known():
  assert markdown.spread([1.0, None, 3.0]) == "2 ± 1.4"
  assert markdown.spread([0.1, 0.1], 100) == "10 ± 0"
  assert markdown.spread([-1000.0, -2000.0]) == "−1,500 ± 707.1"
  assert markdown.spread([0.25]) == "0.25"
  assert markdown.spread([None]) is None


def test_what_cannot_be_reported_is_explained(tmp_path, folder):
  with pytest.raises(reports.ReportError, match="no report 'face'; there are"):
    reports.write("face", tmp_path, tmp_path)
  with pytest.raises(table.TableError, match="no run with a finished epoch"):
    reports.write("faces", tmp_path, tmp_path)
  (tmp_path / "again").symlink_to(folder / "model=9")
  (tmp_path / "model=9").symlink_to(folder / "model=9")
  with pytest.raises(reports.ReportError, match="are both model 9"):
    reports.write("faces", tmp_path, tmp_path)
  done = subprocess.run(
    [sys.executable, "-m", "launch.report"],
    cwd=small.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert "one report expected: python -m launch.report" in done.stderr
  assert all(name in done.stderr for name in reports.names())
