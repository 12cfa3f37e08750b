"""Speed, always beside a reference in the same run: python -m benchmarks.kernels."""
