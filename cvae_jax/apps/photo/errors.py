"""The one error of this package, which all its modules raise."""


class PhotoError(ValueError):
  """Says why a picture does not show one readable digit, and what to do."""
