"""What images can be asked for, as vectors."""
