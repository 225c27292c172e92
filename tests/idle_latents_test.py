"""A model whose latents hold next to nothing is warned of, in one line."""

import pytest

from cvae_jax import train
from cvae_jax.loop import idle_latents
from tests import small

pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.mark.parametrize(
  ("beta", "young", "warned"),
  [(1e4, 10, True), (1e4, 200, False), (0.0, 10, False)],
  ids=["collapsed", "collapsed so far", "used"],
)
def test_a_training_says_at_its_end_that_latents_are_idle(
  data, tmp_path, capsys, monkeypatch, beta, young, warned
):
  monkeypatch.setattr(idle_latents, "YOUNG", young)
  changes = {"loss__beta": beta, "epochs": 2, "optim__lr": 1e-2}
  train.train_and_evaluate(small.config(data, "vae", **changes), tmp_path)
  said = [
    line
    for line in capsys.readouterr().out.splitlines()
    if line.startswith("warning: the latents hold only")
  ]
  assert len(said) == warned


def test_what_has_no_kl_is_not_warned_of():
  assert idle_latents.caution({"loss": 0.0}) == ""
  assert idle_latents.caution({"kl": idle_latents.LITTLE}) == ""
  assert "0.16 nats" in idle_latents.caution({"kl": 0.16})


@pytest.mark.parametrize(
  ("likelihood", "advised"),
  [("gaussian", True), ("sigma", False), ("bernoulli", False)],
)
def test_sigma_is_advised_where_the_weight_of_pixels_is_fixed(
  data, likelihood, advised
):
  config = small.config(data, "cvae", loss__likelihood=likelihood)
  assert ("sigma" in idle_latents.remedy(config)) == advised
