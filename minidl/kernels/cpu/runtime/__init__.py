"""How a loop runs: compiled by Numba, in pooled memory, split over threads."""
