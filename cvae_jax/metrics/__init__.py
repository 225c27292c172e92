"""What a model is worth, in figures that do not depend on its loss weights."""
