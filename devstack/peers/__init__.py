"""Servers of other makers, started as processes by the tests."""
