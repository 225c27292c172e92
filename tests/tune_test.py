"""A search: what it may set, whose trial is whose, what it finds."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.faults import launching
from cvae_jax import config as configs, runs
from cvae_jax.apps.tuning import plans, results, search, space, study as studies
from cvae_jax.host import flag_words, plugins
from cvae_jax.host.files import DamagedFile
from cvae_jax.host.lock import FolderInUse
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.record import Record
from cvae_jax.measures import gather, table as tables
from cvae_jax.settings import ConfigError
from tests import small

PAGE = "zoo:vae,smoke"


@pytest.mark.parametrize(
  ("word", "expected"),
  [
    ("config.optim.lr=log:1e-4..1e-2", ("optim.lr", "log", 1e-4, 1e-2)),
    ("loss.beta=float:0.5..1.5/0.25", ("loss.beta", "float", 0.5, 1.5, 0.25)),
    ("config.model.latents=int:2..50", ("model.latents", "int", 2, 50)),
    ("config.batch_size=logint:8..512", ("batch_size", "logint", 8, 512)),
  ],
)
def test_a_range_is_written_kind_low_high_and_step(word, expected):
  (axis,) = space.parse([word])
  assert axis[: len(expected)] == expected


@pytest.mark.parametrize(
  ("word", "values"),
  [
    ("config.optim.name=one of:adam,lion", ("adam", "lion")),
    ("config.optim.name=adam, lion", ("adam", "lion")),
    ("model.encoder.widths=(8,8),(16,)", ("(8,8)", "(16,)")),
    ("seed=one of:0..2", ("0", "1", "2")),
  ],
)
def test_choices_stand_between_commas(word, values):
  (axis,) = space.parse([word])
  assert axis.values == values


@pytest.mark.parametrize(
  ("word", "said"),
  [
    ("optim.lr", "expected a key and what it may be"),
    ("optim.lr=", "expected a key and what it may be"),
    ("optim.lr=lg:1..2", "did you mean 'log'"),
    ("optim.lr=1e-4..1e-2", "say what the range is of"),
    ("optim.lr=log:0..1", "expected 0 < LOW < HIGH"),
    ("optim.lr=log:1e-2..1e-4", "expected 0 < LOW < HIGH"),
    ("optim.lr=log:1e-4...1e-2", "expected log:LOW..HIGH"),
    ("optim.lr=float:nan..1", "expected LOW < HIGH"),
    ("optim.lr=float:0..1/2", "a step lies above 0 and within"),
    ("model.latents=int:2.5..4", "two whole numbers"),
    ("optim.name=adam", "found one value"),
    ("optim.name=adam,,lion", "a value between commas is empty"),
  ],
)
def test_what_is_no_space_is_named_and_shown_how_it_is_written(word, said):
  with pytest.raises(ConfigError, match=said) as error:
    space.parse([word])
  assert f"--space={word!r}" in str(error.value)


def test_a_key_that_comes_twice_is_refused():
  with pytest.raises(ConfigError, match=r"config\.seed comes twice"):
    space.parse(["seed=int:0..4", "config.seed=1,2"])


@pytest.mark.parametrize(
  ("word", "said"),
  [
    ("optim.rate=log:1e-4..1e-2", "config.optim has no key 'rate'"),
    ("optim.lr=float:-1..1", "optim.lr: found -1.0; expected a number above 0"),
    ("model.latents=float:2..4", "model.latents: found 2.0"),
    ("optim.lr=adam,lion", "optim.lr: found 'adam'"),
  ],
)
def test_a_space_is_held_against_the_page_before_anything_is_trained(
  word, said
):
  config = configs.load_page(PAGE)
  with pytest.raises(ConfigError, match=said):
    space.choose_space([word], PAGE, config)


@pytest.mark.parametrize(
  ("page", "words", "said"),
  [
    ("zoo", ["loss.mixture=int:2..5"], "set loss.likelihood=logistic"),
    ("zoo", ["loss.samples=1,2"], "set loss.objective=iwae or dreg"),
    ("zoo:m2", ["loss.objective=tc,mmd"], "systems that do: cvae, vae"),
    ("zoo:m1m2", ["data.binarise=dynamic,static"], "features.latents is 50"),
    (
      "zoo",
      ["optim.eps=log:1e-9..1e-7", "optim.name=adam,sgd"],
      "--space: beside optim.name=sgd, config.optim.eps=1e-09 has no use",
    ),
    (
      "zoo",
      ["loss.mse=float:1..3", "loss.likelihood=gaussian,sigma"],
      "beside loss.likelihood=sigma, .* function space",
    ),
    (
      "zoo",
      ["optim.momentum=float:0.1..0.9", "optim.name=sgd,adam"],
      "beside optim.name=adam, .* set optim.name=muon or rmsprop or sgd",
    ),
  ],
)
def test_a_search_of_a_key_without_effect_is_refused_before_its_first_trial(
  page, words, said
):
  with pytest.raises(ConfigError, match=said) as refused:
    space.choose_space(words, page, configs.load_page(page))
  assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
  "words",
  [
    ["optim.schedule=cosine,linear", "optim.steps=int:10..50"],
    ["optim.momentum=float:0.1..0.9", "optim.name=sgd,rmsprop"],
  ],
)
def test_a_key_that_counts_beside_each_value_of_another_may_be_searched(words):
  space.choose_space(words, "zoo", configs.load_page("zoo"))


def test_what_a_flag_sets_may_not_be_idle_beside_a_value_of_the_space():
  config = configs.load_page("digits")
  words = ["loss.likelihood=gaussian,sigma"]
  space.choose_space(words, "digits", config)  # the page's own mse may be
  with pytest.raises(ConfigError, match=r"loss\.mse=.* has no use"):
    space.choose_space(words, "digits", config, ["loss.mse"])


def test_a_value_that_a_page_s_own_space_draws_in_vain_is_refused():
  config = configs.load("zoo", {"loss.likelihood": "sigma"})
  with pytest.raises(ConfigError, match=r"loss\.mse=3\.0 has no use"):
    space.apply_values(config, {"loss.mse": 3.0})


def test_choices_become_values_of_their_key_s_type():
  config = configs.load_page(PAGE)
  values = {
    "model.encoder.widths": "(8, 8)",
    "loss.binarise": "true",
    "optim.name": "lion",
    "model.latents": "7",
  }
  found = space.apply_values(config, values)
  assert found.model.encoder.widths == (8, 8)
  assert found.loss.binarise is True
  assert found.optim.name == "lion"
  assert found.model.latents == 7
  assert config.model.latents == 2  # the page's own


def test_without_a_space_the_page_is_asked_and_named(tmp_path):
  page = tmp_path / "mine.py"
  page.write_text("def space(trial):\n  return {'config.seed': 3}\n")
  drawn = space.choose_space([], str(page), configs.load_page(PAGE))
  assert drawn(None) == {"seed": 3}
  page.write_text("def space(trial):\n  return {}['lr']\n")
  drawn = space.choose_space([], str(page), configs.load_page(PAGE))
  with pytest.raises(ConfigError, match=r"mine\.py:2: KeyError: 'lr'"):
    drawn(None)
  with pytest.raises(ConfigError, match=r"nothing to search .* --space="):
    space.choose_space([], PAGE, configs.load_page(PAGE))


def test_a_flag_of_the_command_that_the_space_would_override_is_refused(
  tmp_path,
):
  config = configs.load_page(PAGE)
  typed = flag_words.named(
    ["--config.optim.lr", "1", "--config.seed=7", "--", "a"]
  )
  assert set(typed) == {"config.optim.lr", "config.seed"}
  with pytest.raises(ConfigError, match=r"--config\.optim\.lr, but each trial"):
    space.choose_space(["optim.lr=log:1e-4..1e-2"], PAGE, config, (), typed)
  space.choose_space(["model.latents=int:2..5"], PAGE, config, (), typed)
  page = tmp_path / "mine.py"
  page.write_text("def space(trial):\n  return {'config.seed': 3}\n")
  drawn = space.choose_space([], str(page), config, (), typed)
  with pytest.raises(ConfigError, match=r"--config\.seed, but each trial"):
    drawn(None)


@pytest.mark.parametrize(
  ("words", "said"),
  [
    (["--config.optim.lr=1"], "found --config.optim.lr, but each trial draws"),
    (
      ["--", "--config.epochs=1"],
      "'--config.epochs=1', which a search does no",
    ),
  ],
)
def test_the_command_refuses_what_it_would_not_follow(words, said, tmp_path):
  order = [sys.executable, "-m", "launch.tune", f"--workdir={tmp_path / 'a'}"]
  order += [f"--config={PAGE}", "--space=optim.lr=log:1e-4..1e-2", *words]
  done = subprocess.run(order, cwd=small.ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert said in done.stderr
  assert len(done.stderr.splitlines()) == 1
  assert not (tmp_path / "a").exists()


optuna = pytest.importorskip("optuna")
SPACE = ["config.optim.lr=log:1e-5..1e-1", "config.model.latents=int:2..9"]
EPOCHS = 3


def begin(folder, words=SPACE, **changes):
  """Opens a study of a page of three epochs: (study, config, space)."""
  config = configs.load(PAGE, {"epochs": EPOCHS})
  asked = {"metric": "loss", "direction": "min", "pruner": "median", "seed": 0}
  plan = plans.plan(config, PAGE, words, **asked | changes)
  study = studies.Study(folder, plan)
  return study, config, space.choose_space(words, PAGE, config)


def value(config, epoch):
  lr = np.log10(config.optim.lr)
  return float((lr + 3) ** 2 + config.model.latents / 10 + 1 / epoch)


class Training:
  """Stands for train_and_evaluate: an evaluation an epoch, saved at each.

  `fail` is raised in place of the n-th evaluation of all.
  """

  def __init__(self, nth=None, fail=KeyboardInterrupt):
    self.nth = nth
    self.fail = fail
    self.count = 0
    self.trained = []

  def __call__(self, config, folder, trackers):
    saved = folder / "saved"
    first = int(saved.read_text()) if saved.exists() else 0
    if first < EPOCHS:
      record = Record(folder, trackers)
      bias = {"net": {"bias": np.zeros(3, np.float32)}}
      record.start(config, {}, first, bias)
      try:
        self._epochs(record, saved, first, config, folder)
      finally:
        record.close(done=False)
    return SimpleNamespace(step=EPOCHS)

  def _epochs(self, record, saved, first, config, folder):
    for epoch in range(first + 1, EPOCHS + 1):
      self.count += 1
      if self.count == self.nth:
        raise self.fail
      row = {"step": epoch, "split": "test", "epoch": epoch}
      record.metrics(row | {"loss": value(config, epoch), "psnr": 1.0})
      saved.write_text(str(epoch))
      self.trained.append((folder.name, epoch))


def told(study):
  return [
    (t.number, t.state.name, t.value, t.params, t.intermediate_values)
    for t in study.trials
  ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A study of 20 trials that nothing interrupted."""
  study, config, drawn = begin(tmp_path_factory.mktemp("whole"))
  search.search(study, config, drawn, 20, Training())
  return study


def test_a_search_finds_what_is_better_and_gives_up_what_is_worse(whole):
  states = Counter(state for _, state, *_ in told(whole))
  assert states["COMPLETE"] + states["PRUNED"] == 20
  assert states["PRUNED"] >= 3
  lowest = min(t.value for t in whole.trials if t.value is not None)
  assert whole.best.value == lowest < told(whole)[0][2]


def test_a_study_that_is_stopped_at_any_point_ends_as_one_that_never_was(
  whole, tmp_path
):
  trained = []
  for nth in (2, 3, 7, 1, 11, None):
    study, config, drawn = begin(tmp_path)
    training = Training(nth)
    if nth is None:
      search.search(study, config, drawn, 20, training)
    else:
      with pytest.raises(KeyboardInterrupt):
        search.search(study, config, drawn, 20, training)
    trained += training.trained
  assert told(study) == told(whole)
  assert len(trained) == len(set(trained))  # no epoch was trained twice


def test_a_study_grows_by_the_same_trials(whole, tmp_path):
  for count in (4, 4, 9, 20):
    study, config, drawn = begin(tmp_path)
    search.search(study, config, drawn, count, Training())
    assert len(study.trials) == count
  assert told(study) == told(whole)


def test_processes_at_once_share_the_trials(tmp_path):
  one, _, drawn = begin(tmp_path)
  other, *_ = begin(tmp_path)
  with one.claim(drawn, 2) as mine, other.claim(drawn, 2) as theirs:
    assert (mine.trial.number, theirs.trial.number) == (0, 1)
    assert mine.values != theirs.values
    assert mine.folder != theirs.folder
    with begin(tmp_path)[0].claim(drawn, 2) as third:
      assert third is None
  with other.claim(drawn, 2) as again:  # both were left
    assert again.resumed
    assert (again.trial.number, again.values) == (0, mine.values)


def test_a_pruned_trial_s_folder_says_so_also_where_a_kill_came_between(
  whole, tmp_path
):
  pruned = [t for t in whole.trials if t.state.name == "PRUNED"]
  for trial in pruned:
    text = (whole.run_folder(trial) / studies.PRUNED).read_text()
    last = max(trial.intermediate_values)
    assert text.startswith(f"ended after epoch {last}: loss was worse")
    assert last < EPOCHS
  study, config, drawn = begin(tmp_path)
  with study.claim(drawn, 1) as claim:
    claim.folder.mkdir()
    (claim.folder / studies.PRUNED).write_text("")
  training = Training()
  search.search(study, config, drawn, 1, training)
  assert study.trials[0].state.name == "PRUNED"
  assert training.trained == []


def test_without_a_pruner_every_trial_comes_to_its_end(tmp_path):
  study, config, drawn = begin(tmp_path, pruner="none")
  search.search(study, config, drawn, 12, Training())
  assert {t.state.name for t in study.trials} == {"COMPLETE"}


def test_the_best_config_is_written_as_a_page(whole):
  config = configs.load(str(whole.folder / results.BEST))
  assert config.optim.lr == whole.best.params["optim.lr"]
  assert config.model.latents == whole.best.params["model.latents"]
  assert value(config, EPOCHS) == pytest.approx(whole.best.value)


def test_the_table_has_a_row_a_trial(whole):
  rows = pd.read_csv(whole.folder / results.TABLE)
  assert list(rows.trial) == list(range(20))
  assert set(rows.state) == {"done", "pruned"}
  done = rows[rows.state == "done"]
  expected = (np.log10(done["optim.lr"]) + 3) ** 2 + done["model.latents"] / 10
  np.testing.assert_allclose(done.loss, expected + 1 / EPOCHS)
  first = results.text(whole).splitlines()[1].split()
  assert int(first[0]) == whole.best.number


def test_the_table_has_the_epochs_that_were_trained_beside_those_asked_for(
  tmp_path,
):
  study, config, drawn = begin(tmp_path, ["config.epochs=int:7..9"])
  search.search(study, config, drawn, 2, Training())
  rows = pd.read_csv(study.folder / results.TABLE)
  assert list(rows.epochs) == [EPOCHS, EPOCHS]
  assert list(rows["config.epochs"]) == [
    trial.params["epochs"] for trial in study.trials
  ]


def test_a_study_s_folder_is_a_sweep_s_to_other_commands(whole):
  found = [run.path.name for run in runs.below(whole.folder)]
  assert found == [f"{number:04d}" for number in range(20)]
  assert ".tune" not in " ".join(
    tables.describe_unfinished([whole.folder], gather.find([whole.folder]))
  )


def test_the_plots_are_one_page_that_asks_no_server(whole):
  pytest.importorskip("plotly")
  page = results.plots(whole).read_text()
  assert page.count("plotly-graph-div") >= 5
  assert "<script src" not in page
  assert "cdn.plot.ly" not in page.replace("https://cdn.plot.ly/un/", "")


def test_another_study_is_refused_where_trials_are_finished(whole):
  before = told(whole)
  with pytest.raises(ConfigError, match="another study") as error:
    begin(whole.folder, metric="psnr", direction="max")
  assert "metric: 'loss' → 'psnr'" in str(error.value)
  with pytest.raises(ConfigError, match="space: "):
    begin(whole.folder, words=["seed=int:0..9"])
  assert told(whole) == before


def stop_in_first(folder, words=SPACE, **changes):
  """Begins a study and stops it after the first epoch of its first trial."""
  study, config, drawn = begin(folder, words, **changes)
  with pytest.raises(KeyboardInterrupt):
    search.search(study, config, drawn, 2, Training(2))


def test_a_study_begun_anew_sets_the_run_of_a_stopped_trial_aside(
  tmp_path, capsys
):
  spaces = [["optim.lr=log:1e-4..1e-2"], ["optim.lr=log:1e-3..1e-2"], SPACE]
  for words in spaces:
    stop_in_first(tmp_path, words)
  study, config, drawn = begin(tmp_path, ["model.latents=int:3..4"])
  search.search(study, config, drawn, 2, Training())
  assert [t.state.name for t in study.trials] == ["COMPLETE"] * 2
  names = ["0000", "0000.old", "0000.old2", "0000.old3", "0001"]
  assert sorted(path.name for path in tmp_path.glob("0*")) == names
  for name in names[1:4]:  # nothing of them is lost
    assert (tmp_path / name / "saved").read_text() == "1"
    assert [row["step"] for row in read_metrics(tmp_path / name)] == [1]
  lr = [configs.of_run(tmp_path / name).optim.lr for name in names[1:3]]
  assert 1e-4 <= lr[0] <= 1e-2
  assert 1e-3 <= lr[1] <= 1e-2
  said = capsys.readouterr().out
  assert f"begins anew by another plan; kept: {tmp_path / '0000.old'}\n" in said


def test_a_study_that_a_process_works_on_is_not_begun_anew(tmp_path):
  study, _, drawn = begin(tmp_path)
  with study.claim(drawn, 1) as claim:
    claim.folder.mkdir()
    with pytest.raises(FolderInUse, match="is tuning in"):
      begin(tmp_path, ["model.latents=int:3..4"])
  assert [path.name for path in tmp_path.glob("0*")] == ["0000"]
  assert len(begin(tmp_path)[0].trials) == 1


def test_a_metric_that_no_run_has_is_named_and_the_trial_kept(tmp_path):
  study, config, drawn = begin(tmp_path, metric="pnsr", direction="max")
  training = Training()
  with pytest.raises(ConfigError, match="no such metric; did you mean 'psnr'"):
    search.search(study, config, drawn, 2, training)
  study, config, drawn = begin(tmp_path, metric="psnr", direction="max")
  search.search(study, config, drawn, 2, training)
  assert [t.value for t in study.trials] == [1.0, 1.0]
  assert Counter(training.trained)["0000", 1] == 1


def test_a_trial_that_diverges_is_noted_and_the_search_goes_on(tmp_path):
  study, config, drawn = begin(tmp_path)
  failing = Training(4, FloatingPointError("step 4: loss is nan"))
  search.search(study, config, drawn, 4, failing)
  states = [t.state.name for t in study.trials]
  assert states == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
  rows = pd.read_csv(tmp_path / results.TABLE, keep_default_na=False)
  assert list(rows.state) == ["done", "diverged", "done", "done"]
  assert rows.why[1] == "step 4: loss is nan"
  said = (tmp_path / "0001" / studies.PRUNED).read_text()
  assert said == "step 4: loss is nan\n"
  assert "trial 1 diverged: step 4: loss" in results.text(study)


def test_trials_that_diverge_one_after_another_do_not_end_the_search(tmp_path):
  def train(config, folder, trackers):
    folder.mkdir(exist_ok=True)
    raise FloatingPointError("loss is nan")

  study, config, drawn = begin(tmp_path)
  search.search(study, config, drawn, 5, train)
  assert len(study.trials) == 5
  assert study.best is None
  assert not (tmp_path / results.BEST).exists()
  assert results.plots(study) is None


def test_trials_that_fail_one_after_another_end_the_search(tmp_path):
  def train(*how, **words):
    raise ValueError("widths do not fit")

  study, config, drawn = begin(tmp_path)
  with pytest.raises(ConfigError, match=r"3 trials in a row .* do not fit"):
    search.search(study, config, drawn, 20, train)
  assert len(study.trials) == 3


def test_a_full_disk_ends_the_search_and_costs_no_trial(tmp_path):
  study, config, drawn = begin(tmp_path)
  with pytest.raises(OSError, match="No space"):
    search.search(study, config, drawn, 2, Training(2, OSError("No space")))
  search.search(study, config, drawn, 2, Training())
  assert [t.state.name for t in study.trials] == ["COMPLETE"] * 2


def test_a_number_of_scores_json_can_be_searched_for(tmp_path, monkeypatch):
  monkeypatch.setattr(search.runs, "load", lambda folder: folder)
  found = {"test": {"iw_bound": -3.5}, "iw_of": "run"}
  monkeypatch.setattr(search.score, "score", lambda run: found)
  metric = "score.test.iw_bound"
  study, config, drawn = begin(tmp_path, metric=metric, direction="max")
  search.search(study, config, drawn, 1, Training())
  assert study.best.value == -3.5
  with pytest.raises(ConfigError, match=r"did you mean 'test\.iw"):
    search.measure_trial(tmp_path / "0000", 3, "score.iw_bound")


def test_valid_rows_decide_where_there_are_some_and_the_step_handed_out(
  tmp_path,
):
  record = Record(tmp_path)
  bias = {"net": {"bias": np.zeros(3, np.float32)}}
  record.start(configs.load(PAGE), {}, 0, bias)
  for step, loss in ((1, 0.5), (2, 0.3), (3, 0.4)):
    for split, worse in (("valid", 0.0), ("test", 9.0)):
      row = {"step": step, "split": split, "epoch": step, "loss": loss + worse}
      record.metrics(row)
  record.close(done=True)
  assert search.measure_trial(tmp_path, 3, "loss") == 0.4
  assert search.measure_trial(tmp_path, 2, "loss") == 0.3


@pytest.mark.parametrize("content", [b"no database" * 99, None])
def test_a_damaged_database_is_named(whole, tmp_path, content):
  folder = tmp_path / "study"
  folder.mkdir()
  old = (whole.folder / studies.FILE).read_bytes()
  (folder / studies.FILE).write_bytes(content or old[: len(old) // 3])
  shutil.copy(whole.folder / plans.FILE, folder)
  with pytest.raises(
    DamagedFile, match=r"study\.db cannot be read .*copy of"
  ) as e:
    studies.Study(folder, whole.plan)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("content", ["{}", '{"command": [1]}'])
def test_a_damaged_plan_is_named(tmp_path, content):
  (tmp_path / plans.FILE).write_text(content)
  with pytest.raises(DamagedFile, match="give --config and --space again"):
    plans.load_words(tmp_path)


def test_the_folder_of_a_run_is_no_study_s(tmp_path):
  (tmp_path / "config.json").touch()
  with pytest.raises(ConfigError, match="is the folder of a run; a search nee"):
    studies.Study(tmp_path, {})


def test_without_optuna_a_line_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "optuna", None)
  with pytest.raises(ConfigError, match=r'pip install "cvae_jax\[tune\]"'):
    begin(tmp_path)


# Searches in a process of its own, slowly enough to be killed at any point.
_SEARCH = """
import pathlib, sys, time
from tests import tune_test as tests

class Slow(tests.Training):
  def _epochs(self, *how):
    time.sleep(0.02)
    super()._epochs(*how)
    time.sleep(0.02)

study, config, drawn = tests.begin(pathlib.Path(sys.argv[1]))
tests.search.search(study, config, drawn, 20, Slow())
"""


def kill_at(order, sign):
  """Starts a process and ends it by kill -9 once a file is there."""
  process = subprocess.Popen(order, cwd=small.ROOT, stdout=subprocess.DEVNULL)
  deadline = time.monotonic() + 120
  while not sign.exists() and time.monotonic() < deadline:
    assert process.poll() is None
    time.sleep(0.005)
  process.send_signal(signal.SIGKILL)
  assert process.wait() == -signal.SIGKILL


def test_twenty_trials_killed_twice_are_those_of_a_study_that_was_not(
  whole, tmp_path
):
  for trial in (4, 13):
    order = [sys.executable, "-c", _SEARCH, str(tmp_path)]
    kill_at(order, tmp_path / f"{trial:04d}" / "metrics.jsonl")
  study, config, drawn = begin(tmp_path)
  assert len(study.trials) < 20
  search.search(study, config, drawn, 20, Training())
  assert told(study) == told(whole)
  assert len(list(tmp_path.glob("0*"))) == 20


def test_the_command_goes_on_after_a_kill_from_its_folder_alone(data, tmp_path):
  words = [f"--config={PAGE}", "--space=config.seed=int:0..4000000000"]
  words += ["--config.data.source=", f"--config.data.path={data}"]
  words += ["--config.model.encoder.widths=(8,)", "--config.batch_size=50"]
  words += ["--config.model.decoder.widths=(8,)", "--config.epochs=1"]
  folder = tmp_path / "study"
  order = [sys.executable, "-m", "launch.tune", f"--workdir={folder}"]
  order += ["--trials=2"]
  kill_at([*order, *words], folder / "0001" / "metrics.jsonl")
  done = subprocess.run(order, cwd=small.ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert "== trial 1 (goes on): seed=" in done.stdout
  assert "== trial 0" not in done.stdout
  rows = pd.read_csv(folder / results.TABLE)
  assert list(rows.state) == ["done", "done"]
  for row in rows.itertuples():
    run = folder / f"{row.trial:04d}"
    seen = [(r["step"], r["split"]) for r in read_metrics(run)]
    assert len(seen) == len(set(seen))
    assert configs.of_run(run).seed == row.seed
    assert (run / "DONE").exists()


@pytest.mark.parametrize("more", [[], ["--trust"]])
def test_a_folder_s_own_page_is_not_run_unasked(tmp_path, more):
  page, ran = tmp_path / "page.py", tmp_path / "ran"
  page.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
  words = {"command": [f"--config={page}", *more]}
  (tmp_path / plans.FILE).write_text(json.dumps(words))
  done = launching.within("launch.tune", f"--workdir={tmp_path}")
  assert done.code == 1
  assert f"was begun with {page}, which runs code of its own" in done.text
  assert not ran.exists()
  launching.within("launch.tune", f"--workdir={tmp_path}", "--trust")
  assert ran.exists()


@pytest.mark.parametrize(
  ("word", "named"),
  [
    ("--config.system=my_lab.vae", "my_lab.vae"),
    ("--config.data.name=my_lab.shapes", "my_lab.shapes"),
    ("--trust", "--trust"),
  ],
)
def test_a_search_that_names_code_is_trusted_by_hand_only(word, named):
  plans.check_trusted("DIR", [f"--config={PAGE}", "--seed=0"])
  with pytest.raises(plugins.Untrusted, match=f"begun with {named}, which"):
    plans.check_trusted("DIR", [f"--config={PAGE}", word])
