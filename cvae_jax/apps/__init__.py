"""Uses of a trained run beside sampling and scoring it."""
