"""Twelve lessons that build the library and both papers by hand: see README.md in this folder."""
