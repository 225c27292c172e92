"""Readers and writers of data, which the sources share."""
