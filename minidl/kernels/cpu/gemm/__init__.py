"""Matrix products: the micro-kernel, the packed panels that it reads, and the loops around it."""
