"""The runtime compiles loops with Numba, gives them pooled memory and splits them over threads."""
