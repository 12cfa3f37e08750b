"""The algebra behind the fast kernels, as short programs. Read them before the kernels.

winograd   convolution with fewer products, by three small matrices
strassen   matrix products of quarters, seven instead of eight
"""
