"""Metrics of models that do not depend on the weights of their losses."""
