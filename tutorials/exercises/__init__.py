"""Exercises: fill in the functions, then run `pytest -m lesson01` and so on."""
