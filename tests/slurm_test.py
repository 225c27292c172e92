"""Sweeps as jobs: limits, failures, pre-emption, what Slurm is asked for."""

import os
import signal
import sys
from pathlib import Path

import pytest

from cvae_jax.host import slurm, slurm_job, slurm_options
from tests import small

pytest.importorskip("submitit")

sweep, _ = small.command("sweep")

# Stands for launch.train: it counts its launches and its steps, saves these
# after a signal and goes on from there.
_TRAINING = """
import pathlib, signal, sys, time
folder, steps, code = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
folder.mkdir(parents=True, exist_ok=True)
with (folder / "launches").open("a") as file:
  file.write(f"{time.monotonic()} ")
saved = folder / "saved"
step = int(saved.read_text()) if saved.exists() else 0
while step < steps:
  step += 1
  time.sleep(0.02)
  if heard:
    saved.write_text(str(step))
    sys.exit(75)
(folder / "end").write_text(f"{time.monotonic()}")
print("it was wrong", file=sys.stderr)
sys.exit(int(code))
"""
_SBATCH = """#!/bin/sh
cp "$1" {folder}/submitted
echo Submitted batch job 7
"""


def order(folder, name, steps=1, code=0):
  """Return the order of a stand-in training."""
  script = folder / "training.py"
  script.write_text(_TRAINING)
  words = [sys.executable, script, folder / name, steps, code]
  return slurm_job.Order(map(str, words), 75)


def local(**words):
  return slurm_options.options({"cluster": ["local"]} | words)


PRE_EMPTED = {"a": signal.SIGUSR1, "b": signal.SIGTERM}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
  """Three jobs, two at once; two are pre-empted, the last one fails."""
  from submitit.local.local import LocalJob

  folder = tmp_path_factory.mktemp("local")
  orders = {name: order(folder, name, 60) for name in PRE_EMPTED}
  orders["c"] = order(folder, "c", 1, code=1)
  left = dict(PRE_EMPTED)
  done = LocalJob.done

  def pre_empt(job):
    """Signal a job's process, the controller's child, once it trains."""
    pid = job._process.pid
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    for name in [n for n in left if (folder / n / "launches").exists()]:
      tasks = listed.read_text().split()
      of = [task for task in tasks if trains(task, folder / name)]
      if of:
        os.kill(int(of[0]), left.pop(name))
    return done(job)

  said = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(LocalJob, "done", pre_empt)
    patch.setattr(slurm, "say", said.append)
    asked = local(array_parallelism=["2"])
    failed, stopped = slurm.run(orders, asked, folder)
  assert not stopped
  assert not left
  return folder, failed, said


def trains(task, folder):
  """Tell whether a job's process has the training of a folder as its child."""
  children = Path(f"/proc/{task}/task/{task}/children").read_text().split()
  return any(
    str(folder) in Path(f"/proc/{child}/cmdline").read_text().split("\0")
    for child in children
  )


def test_all_variants_train_and_no_more_at_once_than_the_limit(story):
  folder, _, said = story
  assert {"== a: done", "== b: done"} < set(said)
  spans = []
  for name in "abc":
    begin = float((folder / name / "launches").read_text().split()[0])
    spans.append((begin, float((folder / name / "end").read_text())))
  for at, _ in spans:
    assert sum(begin <= at < end for begin, end in spans) <= 2


def test_a_failed_variant_is_listed_with_what_it_said(story):
  _, failed, _ = story
  assert failed == {"c": "failed with exit status 1: it was wrong"}


@pytest.mark.parametrize("name", PRE_EMPTED)
def test_a_job_that_is_pre_empted_saves_is_requeued_and_goes_on(story, name):
  folder, _, _ = story
  assert len((folder / name / "launches").read_text().split()) == 2
  assert 0 < int((folder / name / "saved").read_text()) < 60


@pytest.fixture
def cluster(tmp_path, monkeypatch):
  """A folder of commands that stand for Slurm's, before all others."""
  folder = tmp_path / "bin"
  folder.mkdir()

  def write(name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)

  write("srun", "#!/bin/sh\n")
  write("sbatch", _SBATCH.format(folder=folder))
  monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
  monkeypatch.setattr(slurm.time, "sleep", lambda _: None)
  write.folder = folder
  return write


def state(job, name):
  return f"#!/bin/sh\necho 'JobID|State|NodeList'\necho '{job}|{name}|n1'\n"


def test_slurm_is_asked_for_one_array_with_its_limit(tmp_path, cluster):
  cluster("sacct", state("7_[0-2]", "FAILED"))
  words = {
    "partition": ["gpu"],
    "time": ["4:00:00"],
    "array_parallelism": ["2"],
    "setup": ["module load cuda", "ulimit -n 4096"],
  }
  orders = {name: order(tmp_path, name) for name in "abc"}
  failed, _ = slurm.run(orders, slurm_options.options(words), tmp_path)
  assert sorted(failed) == ["a", "b", "c"]
  assert failed["b"].startswith("failed before its end; see ")
  text = (cluster.folder / "submitted").read_text()
  for line in (
    "--array=0-2%2",
    "--partition=gpu",
    "--time=240",
    "--job-name=cvae_jax",
    "--signal=USR2@120",
  ):
    assert f"#SBATCH {line}\n" in text
  assert "\nmodule load cuda\nulimit -n 4096\n" in text


def test_a_job_that_is_under_way_is_waited_for_and_not_submitted_again(
  tmp_path, cluster, capsys, monkeypatch
):
  cluster("sacct", state("7", "RUNNING"))
  orders = {"a": order(tmp_path, "a")}
  asked = slurm_options.options({"partition": ["gpu"]})

  def stop(_):
    os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(slurm.time, "sleep", stop)
  before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  assert slurm.run(orders, asked, tmp_path) == ({}, True)
  assert "the jobs go on (scancel 7 ends them)" in capsys.readouterr().out
  (cluster.folder / "submitted").unlink()
  assert slurm.run(orders, asked, tmp_path) == ({}, True)
  assert "== a: job 7 is under way" in capsys.readouterr().out
  assert not (cluster.folder / "submitted").exists()
  assert [
    signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)
  ] == before


@pytest.mark.parametrize(
  ("said", "goes_on"),
  [("RUNNING", True), ("PREEMPTED", True), ("CANCELLED", False), ("", False)],
)
def test_a_job_that_was_cancelled_is_not_requeued(
  cluster, monkeypatch, said, goes_on
):
  cluster("squeue", f"#!/bin/sh\necho {said}\n")
  monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
  monkeypatch.setenv("SLURM_JOB_ID", "7")
  assert slurm_job.should_requeue() is goes_on


@pytest.mark.parametrize(
  ("text", "found"),
  [("90", 90), ("1:30", 2), ("1:30:00", 90), ("2-12", 3600), ("1-0:30", 1470)],
)
def test_times_are_written_as_slurm_writes_them(text, found):
  assert slurm_options.minutes(text) == found


@pytest.mark.parametrize(
  ("words", "said"),
  [
    ({"partitoin": ["gpu"]}, r"--slurm.partitoin: no such option; .*partition"),
    ({"cluster": ["pbs"]}, "cluster=pbs; expected slurm or local"),
    ({"time": ["4h"]}, r"time=4h; expected minutes \(90\)"),
    (
      {"cluster": ["local"], "array_parallelism": ["0"]},
      "array_parallelism=0; expected how many",
    ),
    ({"partition": ["gpu"]}, "no Slurm here: the command srun was not found"),
  ],
)
def test_what_a_cluster_cannot_be_asked_is_refused_in_a_line(words, said):
  with pytest.raises(slurm_options.SlurmError, match=said):
    slurm_options.options(words)


def test_words_for_slurm_are_told_from_words_for_the_runs():
  words = ["sweep", "--slurm.time=9", "--only=a", "--", "--slurm.x=1"]
  assert sweep.prepare(words) == ["sweep", "--only=a", "--", "--slurm.x=1"]
  assert sweep._slurm == {"time": ["9"]}
  with pytest.raises(
    slurm_options.SlurmError, match=r"expected --slurm\.time=VALUE"
  ):
    sweep.prepare(["sweep", "--slurm.time", "9"])
  sweep.prepare(["sweep"])
  assert not sweep._slurm
