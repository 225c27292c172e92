"""The flags among a command's words: found, taken out, the last one kept."""

import pytest

from cvae_jax.host import flag_words


@pytest.mark.parametrize(
  ("word", "found"),
  [
    ("--config.optim.lr=1e-3", ("config.optim.lr", "1e-3")),
    ("-seed=a=b", ("seed", "a=b")),
    ("--note=two\nlines", ("note", "two\nlines")),
    ("--workdir", ("workdir", None)),
    ("--noconfig.loss.l2", ("config.loss.l2", None)),
    ("--noencoder", ("noencoder", None)),
    ("runs/a", None),
    ("--", None),
    ("-1", None),
  ],
)
def test_a_flag_has_a_name_and_the_value_behind_its_equals_sign(word, found):
  assert flag_words.parse(word) == found


def test_a_flag_is_taken_out_with_its_value_and_the_last_value_counts():
  words = ["x", "--config=a", "--seed=1", "--config", "b", "--", "--config=c"]
  found, rest = flag_words.take(words, "config")
  assert (found, rest) == ("b", ["x", "--seed=1", "--", "--config=c"])
  assert flag_words.take(["x"], "config") == (None, ["x"])


def test_of_a_key_that_comes_twice_the_last_word_stays_in_its_place():
  words = ["x", "--config.a=(4,)", "--seed=1", "--config.a=(8,)", "--seed=2"]
  kept = ["x", "--seed=1", "--config.a=(8,)", "--seed=2"]
  assert flag_words.keep_last(words) == kept
  behind = ["--config.a=1", "--", "--config.a=2"]
  assert flag_words.keep_last(behind) == behind
