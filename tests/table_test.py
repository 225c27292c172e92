"""Tables of any runs: what differs, means over seeds, files, curves."""

import csv
import json
import os
import shutil
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax import config as configs, runs
from cvae_jax.host import images
from cvae_jax.host.files import DamagedFile
from cvae_jax.host.paths import PathError
from cvae_jax.loop.folder import folders
from cvae_jax.measures import (
  fid_columns,
  gather,
  groups,
  ledger,
  table,
  typeset,
)
from tests import small


def record(folder, losses, page="digits:smoke", name="model", **overrides):
  """Write what a run leaves behind, but for its checkpoints."""
  overrides = {k.replace("__", "."): v for k, v in overrides.items()}
  config = configs.load(page, {"reference": "", **overrides})
  rows = []
  for epoch, loss in enumerate(losses, 1):
    where = {"step": 10 * epoch, "epoch": float(epoch)}
    rows.append(where | {"split": "epoch", f"{name}/loss": loss})
    rows.append(where | {"split": "test", "loss": 2 * loss, "elbo": -loss})
  folder.mkdir(parents=True)
  files = {
    "config.json": configs.to_json(config),
    "metrics.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    "environment.json": json.dumps([{"device": "cpu:0"}]),
    "parameters.txt": f"{'total':40} {'':20} {1234:>12,}\n",
    "DONE": "",
  }
  for file, text in files.items():
    (folder / file).write_text(text)
  return folder


@pytest.fixture
def folder(tmp_path):
  """Two learning rates, three seeds each, and a GAN two folders deeper."""
  for lr in (0.001, 0.01):
    for seed in range(3):
      path = tmp_path / "runs" / f"lr={lr},seed={seed}"
      record(path, [9.0, 10 * lr * 100 + seed], seed=seed, optim__lr=lr)
  deep = tmp_path / "runs" / "others" / "gans" / "gan"
  record(deep, [3.0, 2.0], "compare:gan,smoke", "critic")
  return tmp_path / "runs"


def test_runs_are_found_at_any_depth_in_natural_order(tmp_path):
  for name in ("model=10", "model=2", "deep/er/model=1"):
    record(tmp_path / name, [1.0])
  record(tmp_path / "model=2" / "checkpoints" / "no_run", [1.0])
  (tmp_path / "no_run").mkdir()
  (tmp_path / "no_run" / "config.json").write_text("{}")  # another program's
  (tmp_path / "deep" / "up").symlink_to(tmp_path)
  (tmp_path / "model=3").symlink_to(tmp_path / "model=2")
  found = [run.path.relative_to(tmp_path) for run in runs.below(tmp_path)]
  assert [str(path) for path in found] == [
    *("deep/er/model=1", "model=2", "model=3", "model=10")
  ]


def test_a_run_s_folder_tells_its_config_rows_parameters_and_launches(tmp_path):
  record(tmp_path / "a", [3.0, 2.0], seed=7)
  (run,) = runs.below(tmp_path / "a")
  assert run.config.seed == 7
  assert run.parameters == 1234
  assert run.environment == {"device": "cpu:0"}
  assert [row["model/loss"] for row in run.split("epoch")] == [3.0, 2.0]
  assert run.done
  (run.path / "DONE").unlink()
  assert not run.done
  (run.path / "parameters.txt").write_text("encoder  12\n")
  (again,) = runs.below(tmp_path)
  with pytest.raises(DamagedFile, match=r"parameters\.txt is damaged"):
    _ = again.parameters


def test_the_table_of_any_runs_shows_the_keys_that_differ(folder):
  found = table.collect(folder)
  assert found["run"].iloc[0] == "lr=0.001,seed=0"
  assert found["run"].iloc[-1] == "others/gans/gan"
  row = found.iloc[-1]
  assert row["system"] == "gan"
  assert row["loss"] == 2.0
  assert row["test loss"] == 4.0
  by_run = found.set_index("run")
  assert by_run.loc["lr=0.01,seed=2", "optim.lr"] == 0.01
  assert by_run.loc["lr=0.01,seed=2", "seed"] == 2
  assert "name" not in found.columns  # it only says the same in words
  assert "keep" not in found.columns
  alike = table.collect(*folder.glob("lr=0.001,*"))
  columns = list(alike.columns)
  assert columns[: columns.index("parameters")] == ["run", "seed"]


def test_a_key_that_has_a_figure_s_name_is_no_figure(tmp_path):
  record(tmp_path / "a", [3.0], epochs=7)
  record(tmp_path / "b", [3.0, 2.0], epochs=9)
  found = table.collect(tmp_path)
  assert found["config.epochs"].tolist() == [7, 9]
  assert found["epochs"].tolist() == [1, 2]  # those that were reached
  assert "b" in table.write([tmp_path])


def measured(folder, fid=80.0, step=20, name="fid", **changes):
  """Note in a run's folder what launch.evaluate --inception measures."""
  protocol = {"step": step, "weights": "6726825d and more", "samples": 2048}
  protocol |= {"images": 2048, "split": "test", "seed": 0} | changes
  path = folder / "measures.json"
  held = json.loads(path.read_text()) if path.exists() else {"scores": {}}
  held[name] = {"protocol": protocol, "fid": fid, "kid": fid / 1000}
  path.write_text(json.dumps(held))


def test_fid_has_a_column_for_each_way_in_which_a_run_was_measured(tmp_path):
  folder = record(tmp_path / "a", [2.0, 1.0])
  record(tmp_path / "b", [2.0, 1.0], optim__lr=0.5)
  assert "FID" not in table.write([tmp_path])
  measured(folder)
  measured(folder, 70.0, name="fid_guidance:2", guidance=2.0)
  measured(folder, 60.0, name="fid_fitted:1", prior="fitted:1", images=500)
  measured(folder, 50.0, name="fid_train", split="train", weights="cafe1234ff")
  found = table.collect(tmp_path)
  rows = dict(zip(found["run"], found.to_dict("records"), strict=True))
  figures = {k: v for k, v in rows["a"].items() if k.startswith("FID")}
  assert figures == {
    "FID 2048": 80.0,
    "FID 2048, guidance 2": 70.0,
    "FID 2048 beside 500, fitted:1": 60.0,
    "FID 2048, train, weights cafe1234": 50.0,
  }
  assert rows["a"]["KID 2048"] == 0.08
  assert np.isnan(rows["b"]["FID 2048"])
  assert "FID 2048, guidance 2" in table.write([tmp_path])


def test_the_fid_of_a_state_that_trained_on_is_left_out_and_named(
  tmp_path, monkeypatch
):
  folder = record(tmp_path / "a", [2.0, 1.0])
  (folder / "checkpoints").mkdir()
  held = types.SimpleNamespace(
    latest=lambda: 20, counters=lambda step: {}, close=lambda: None
  )
  for module in (fid_columns, folders):
    monkeypatch.setattr(module, "Checkpoints", lambda *a, **k: held)
  measured(folder, step=10)
  text = table.write([folder])
  assert "FID 2048" not in text
  assert "note: a: FID was measured at step 10, which is no longer" in text
  measured(folder, step=20)
  assert "FID 2048" in table.write([folder])


def test_means_and_deviations_are_over_runs_that_differ_in_the_seed(folder):
  for path in ("others/gans/gan",):
    os.rename(folder / path, folder.parent / "gan")
  table.write([folder], folder / "out")
  with (folder / "out" / "means.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["run"] for row in rows] == ["lr=0.001", "lr=0.01"]
  for row, first in zip(rows, (1.0, 10.0), strict=True):
    values = first + np.arange(3)
    assert row["runs"] == "3"
    assert float(row["optim.lr"]) == first / 1000
    assert float(row["loss mean"]) == pytest.approx(values.mean())
    assert float(row["loss deviation"]) == pytest.approx(values.std(ddof=1))
    assert float(row["test elbo mean"]) == pytest.approx(-values.mean())


def test_runs_at_other_epochs_are_not_averaged(tmp_path):
  for seed, losses in enumerate(([3.0, 2.0], [3.0, 2.5], [9.0])):
    record(tmp_path / f"seed={seed}", losses, seed=seed)
  text = table.write([tmp_path])
  lines = [line.split() for line in text.splitlines()[1:]]
  assert [line[2 if "…" in line else 1] for line in lines] == ["2", "1"]


def test_the_same_run_twice_is_named_since_its_mean_is_none(tmp_path):
  for name in ("a", "b", "c"):
    record(tmp_path / name, [3.0], seed=int(name == "c"))
  last = table.write([tmp_path]).splitlines()[-1]
  assert last.startswith("note: a, b have the same config and seed")


def test_markdown_latex_and_csv_say_the_same(folder):
  text = table.write([folder], folder / "out", ["loss", "test loss"])
  markdown = (folder / "out" / "table.md").read_text()
  latex = (folder / "out" / "table.tex").read_text()
  csv_ = pd.read_csv(folder / "out" / "table.csv")
  assert len(csv_) == 7
  assert (folder / "out" / "table.json").exists()
  for said in (text, markdown):
    assert "2 ± 1" in said
    assert "11 ± 1" in said
  assert r"2 $\pm$ 1" in latex
  assert r"optim.b1" in markdown  # of the GAN alone: a table of settings
  assert r"model.critic.features" in latex
  assert "±" not in latex
  assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2


def test_latex_escapes_what_it_reads_as_commands():
  text = typeset.latex(pd.DataFrame([{"a_b": r"5 % of {x} \ & #"}]))
  assert r"a\_b" in text
  assert r"5 \% of \{x\} \textbackslash{} \& \#" in text


def test_curves_lie_over_each_other_as_png_and_pdf(folder):
  table.write([folder], folder / "out")
  with Image.open(folder / "out" / "curves.png") as picture:
    assert picture.size == (1100, 400)  # training and test beside each other
  pdf = (folder / "out" / "curves.pdf").read_bytes()
  assert pdf.startswith(b"%PDF")
  table.write([folder], folder / "again")
  assert (folder / "again" / "curves.pdf").read_bytes() == pdf


def test_a_line_is_the_mean_and_a_band_the_deviation(folder):
  found = table.find([folder])
  made = groups.group(table.collect(folder), found)
  figure = table.curves.figure({one.label: one.runs for one in made})
  axes = figure.axes[0]
  lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
  np.testing.assert_allclose(lines["lr=0.001"], [9.0, 2.0])
  np.testing.assert_allclose(lines["others/gans/gan"], [3.0, 2.0])
  band = axes.collections[0].get_paths()[0].vertices
  np.testing.assert_allclose([band[:, 1].min(), band[:, 1].max()], [1.0, 9.0])


def test_several_places_get_names_from_where_they_all_lie(folder):
  places = [folder / "lr=0.001,seed=1", folder / "others"]
  assert list(table.find(places)) == ["lr=0.001,seed=1", "others/gans/gan"]
  (name,) = table.find([folder / "lr=0.001,seed=1"])
  assert name == "lr=0.001,seed=1"


def entry_of(place, folder, losses, **changed):
  """Write the entry of a run, whose folder is made, into a ledger."""
  ledger.write(folders.Folder(record(folder, losses, **changed)), place)
  return place


def losses_by_name(*places):
  found = table.collect(*places)
  return dict(zip(found["run"], found["loss"], strict=True))


def test_entries_of_one_name_in_two_ledgers_have_a_row_each(tmp_path):
  led = entry_of(tmp_path / "a" / "led", tmp_path / "r0", [3.0, 2.0])
  led2 = entry_of(tmp_path / "a" / "led2", tmp_path / "r1", [3.0, 4.0])
  other = entry_of(tmp_path / "b" / "led", tmp_path / "r2", [3.0, 6.0])
  assert losses_by_name(led) == {"digits_smoke": 2.0}
  assert losses_by_name(led, led2) == {
    "led/digits_smoke": 2.0,
    "led2/digits_smoke": 4.0,
  }
  assert losses_by_name(led, led2, other) == {
    "a/led/digits_smoke": 2.0,
    "b/led/digits_smoke": 6.0,
    "led2/digits_smoke": 4.0,
  }
  text = table.write([led, led2])
  assert "led/digits_smoke, led2/digits_smoke have the same config" in text


def test_a_run_and_its_entry_have_one_row_if_they_have_one_name(tmp_path):
  run = tmp_path / "runs" / "digits_smoke"
  led = entry_of(tmp_path / "led", run, [3.0, 1 / 3])
  assert losses_by_name(run, led) == {"digits_smoke": 1 / 3}  # not rounded
  said = f"{led / 'digits_smoke.json'} is an entry of the run {run}, which has"
  assert said in table.write([led, run])
  copy = tmp_path / "copy"
  shutil.copytree(led, copy)
  assert losses_by_name(led, copy) == {"digits_smoke": 0.333333}
  assert losses_by_name(led, led / "digits_smoke.json") == {
    "digits_smoke": 0.333333
  }


def test_of_two_entries_of_a_run_the_one_with_more_measures_counts(tmp_path):
  led = entry_of(tmp_path / "led", tmp_path / "r0", [3.0, 2.0])
  later = tmp_path / "later"
  shutil.copytree(led, later)
  measured(tmp_path / "r0", 80.0)
  ledger.write(folders.Folder(tmp_path / "r0"), later)
  for places in ((led, later), (later, led)):
    assert list(table.collect(*places)["FID 2048"]) == [80.0]


def test_a_run_and_an_entry_of_another_run_have_a_row_each(tmp_path):
  run = record(tmp_path / "runs" / "digits_smoke", [3.0, 5.0])
  led = entry_of(tmp_path / "led", tmp_path / "other", [3.0, 2.0])
  assert losses_by_name(run, led) == {
    "led/digits_smoke": 2.0,
    "runs/digits_smoke": 5.0,
  }
  entry_of(tmp_path / "runs", tmp_path / "one_more", [3.0, 2.0])
  assert losses_by_name(tmp_path / "runs") == {
    "runs/digits_smoke": 5.0,
    "runs/digits_smoke.json": 2.0,
  }


def test_the_command_takes_any_runs_and_writes_where_it_is_told(
  folder, tmp_path, capsys, monkeypatch
):
  command, _ = small.command("table")
  words = [str(folder / "lr=0.001,seed=1"), str(folder / "others")]
  _give(monkeypatch, command, out=None, columns=["loss"])
  command.main(words)
  said = capsys.readouterr().out
  assert "nothing is written" in said
  assert "others/gans/gan" in said
  _give(monkeypatch, command, out=str(tmp_path / "out"), columns=[])
  command.main(words)
  assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
    *("curves.pdf", "curves.png", "means.csv", "table.csv", "table.json"),
    *("table.md", "table.tex"),
  ]


def _give(monkeypatch, module, **flags):
  """Let a command see flags that were not parsed."""
  for name, value in flags.items():
    flag = types.SimpleNamespace(name=name, value=value)
    monkeypatch.setattr(module, f"_{name.upper()}", flag)


def test_runs_below_what_is_no_folder_are_not_looked_for(tmp_path):
  with pytest.raises(PathError, match="nowhere is no folder; expected one of"):
    runs.below(tmp_path / "nowhere")


def test_whole_numbers_and_others_have_the_same_sign():
  assert typeset.spread([-182.0, -182.0]) == "−182 ± 0"
  assert typeset.spread([-182.5]) == "−182.5"


def test_what_cannot_be_tabulated_is_explained(folder, tmp_path):
  with pytest.raises(ledger.LedgerError, match="nowhere is neither a folder"):
    table.write([tmp_path / "nowhere"])
  with pytest.raises(groups.ColumnError, match=r"called accuracy.*test loss"):
    table.write([folder], None, ["accuracy"])


def test_a_figure_has_the_same_bytes_at_any_time(tmp_path):
  from matplotlib.figure import Figure

  for name in ("a.png", "a.pdf", "b.png", "b.pdf"):
    images.save_figure(tmp_path / name, Figure())
  for ending in ("png", "pdf"):
    first = (tmp_path / f"a.{ending}").read_bytes()
    assert first == (tmp_path / f"b.{ending}").read_bytes()


def test_groups_at_different_epochs_have_labels_of_their_own(tmp_path):
  for seed, epochs in enumerate((3, 3, 2, 2)):
    record(tmp_path / f"model=2,seed={seed}", [1.0] * epochs, seed=seed)
  found = runs.below(tmp_path)
  by_name = {run.path.name: run for run in found}
  grouped = groups.group(table.collect(tmp_path), by_name)
  assert [one.label for one in grouped] == [
    *("model=2 (epoch 3)", "model=2 (epoch 2)")
  ]
  assert [len(one.runs) for one in grouped] == [2, 2]


def test_an_export_is_named_as_such_and_not_as_an_unfinished_run():
  place = small.ROOT / "pretrained" / "digits"
  (said,) = table.describe_unfinished([place], gather.find([place]))
  assert said == (
    "digits: an export, which has no curve of its training; give the run itself"
  )
