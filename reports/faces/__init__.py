"""The face ladder beside its source."""
