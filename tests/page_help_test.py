"""The help of config pages: variants, keys and what the sources say of them."""

import pytest

from cvae_jax import config, defaults, pages, settings
from cvae_jax.apps import page_help


def test_a_comment_belongs_to_the_key_on_its_line():
  text = (
    "def f():\n"
    "  return g({\n"
    '    "a": {"b": 1,  # of b\n'
    '      "c": (1,\n'
    "        2),  # of c\n"
    "    },\n"
    "    # no key's\n"
    '    "d": {  # of d\n'
    '      "e": "#no",\n'
    "    },\n"
    "  })\n"
  )
  said = page_help.comments(text)
  assert said["a.b"] == "of b"
  assert said["a.c"] == "of c"
  assert said["d"] == "of d"
  assert said["d.e"] == ""


def test_a_key_that_two_places_explain_otherwise_has_no_comment():
  assert "a" not in page_help.comments('x = {"a": 1}  # one\ny = {"a": 2}')


def test_variants_are_those_that_the_page_takes():
  known = page_help.variants("digits")
  assert known == {
    "model": 4,
    "full": False,
    "faithful": False,
    "smoke": False,
  }
  with pytest.raises(config.ConfigError, match="unknown variant 'none'"):
    config.load_page("digits:none")


@pytest.mark.parametrize("name", pages.list_packaged())
def test_the_help_has_every_key_with_its_value(name):
  shown = list(page_help.lines(f"{name}:help"))
  loaded = config.load_page(name).to_dict()
  for key, value in settings.leaves(loaded):
    line = f"  {key} = {value!r}"
    assert any(s == line or s.startswith(f"{line} ") for s in shown), key


def test_the_help_is_of_the_variant_beside_it_and_explains_keys():
  shown = "\n".join(page_help.lines("digits:model=1,help"))
  assert "data.ink = 'global'" in shown
  lines = shown.splitlines()
  (smoothing,) = [k for k in lines if k.startswith("  early_stop.smoothing")]
  assert smoothing.endswith(
    "# weight of the past in a running mean; 0: no mean"
  )


def test_the_help_of_a_page_that_takes_no_variants_lists_its_keys(tmp_path):
  page = tmp_path / "mine.py"
  page.write_text(
    "from ml_collections import ConfigDict\n"
    "from cvae_jax.config import loop\n"
    "def get_config(arg=''):\n"
    "  return ConfigDict({'system': 'vae', **loop(),\n"
    "    'data': {'name': 'digits'}})  # mine\n"
  )
  shown = list(page_help.lines(f"{page}:help"))
  assert "  system = 'vae'" in shown
  assert not any("Variants" in line for line in shown)


def test_every_system_is_listed():
  assert {"cvae", "gan", "m2"} <= set(config.systems())


def test_every_key_of_a_group_is_explained():
  groups = dict(settings.leaves(defaults.GROUPS))
  said = [line for line in page_help.lines("images") if line[:2] == "  "]
  shown = {line.split(" = ")[0].strip(): line for line in said if " = " in line}
  keys = groups.keys() & shown.keys()
  assert len(keys) > 20
  assert [key for key in sorted(keys) if "  # " not in shown[key]] == []
