"""Measurements of pyos on a development stack of its own: ``make bench``."""
