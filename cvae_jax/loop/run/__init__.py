"""A restored run: requests in words, pictures, and functions of arrays."""
