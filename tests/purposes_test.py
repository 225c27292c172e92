"""A command given a run that it does not serve names the one that does."""

import numpy as np
import pytest

from cvae_jax import config as configs, figures, runs
from cvae_jax.apps import colourise, fill, handwriting
from cvae_jax.apps.explore import opened
from cvae_jax.apps.page import write
from cvae_jax.data.conditions.digits import Conditions
from cvae_jax.loop.run import pictures
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.measures import score
from tests import small

DRAWN = np.zeros((28, 28, 1), np.uint8)
COMMANDS = {
  "sample": figures.draw,
  "sample --count": lambda run: pictures.draw(run, count=2),
  "edit": lambda run: small.command("edit")[0]._check(run),
  "page": lambda run: write.write(run, run.folder / "page.html"),
  "explore": lambda run: opened.from_run(run, "run"),
  "evaluate": score.score,
  "colourise": colourise.check,
  "fill": fill.fill,
  "handwriting": lambda run: handwriting.rewrite(run, run, DRAWN),
}
SERVED = {
  "colouring": ("sample", "explore", "colourise"),
  "attributes": (),
  "gan": ("sample", "sample --count", "page", "explore"),
  "vae": ("sample", "sample --count", "edit", "page", "explore", "evaluate"),
}


PAGES = {
  "colouring": "configs/colour.py:prepared",
  "attributes": "configs/classifier.py",
  "gan": "configs/compare.py:gan,size=64",
  "vae": "configs/zoo.py:vae",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """Return a run of each family, without its state, which no error needs."""
  conditions = Conditions("per_class", (0.1,) * 10, (0.1,) * 10, kind="none")
  made = {}
  for name, page in PAGES.items():
    folder = tmp_path_factory.mktemp(name)
    config = configs.load(page, {"data.path": str(folder / "nowhere")})
    system = configs.resolve(config)
    made[name] = runs.Run(folder, config, conditions, system, None)
  return made


@pytest.mark.parametrize(
  ("name", "command"),
  [(n, c) for n in SERVED for c in COMMANDS if c not in SERVED[n]],
)
def test_a_command_says_what_a_run_is_that_it_does_not_serve(
  found, name, command
):
  run = found[name]
  with pytest.raises(runs.RunError) as error:
    COMMANDS[command](run)
  said = str(error.value)
  assert purpose(run) in said
  assert str(run.folder) in said
  assert "\n" not in said
  assert not (run.folder / "page.html").exists()


@pytest.mark.parametrize(
  ("name", "said"),
  [
    (
      "colouring",
      "this is a colouring model, which colours photos; use python -m "
      "launch.colourise --workdir={} --image=PHOTO",
    ),
    (
      "attributes",
      "this is a judge, which reads attributes of images; use python -m "
      "launch.evaluate --workdir=RUN --judge={}",
    ),
    (
      "gan",
      "this is a model (gan) that draws images; use python -m launch.sample "
      "--workdir={}",
    ),
    (
      "vae",
      "this is a model (vae) that reads and draws images; use python -m "
      "launch.sample --workdir={}",
    ),
  ],
)
def test_a_run_s_purpose_names_a_command_to_type(found, name, said):
  assert purpose(found[name]) == said.format(found[name].folder)


def test_a_colouring_without_its_photos_is_said_to_be_one(found):
  with pytest.raises(runs.RunError, match="this is a colouring model") as error:
    figures.draw(found["colouring"])
  assert "nothing prepared in" in str(error.value)
  assert "\n" not in str(error.value)
