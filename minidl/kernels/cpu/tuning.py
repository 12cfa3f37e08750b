"""The numbers that choose the algorithm, the size of a block, and the number of threads.

Each was found by the benchmark that its comment names, on the processors of docs/performance.md.
None of them changes a result by more than rounding.
"""

# --- threads --------------------------------------------------------------------------------------
# A fork and a join take 5 microseconds.

GRAIN_SIZE = 1 << 14  # numbers of an array, each with a few operations, that are worth a thread
MIN_MULTIPLIES = 1 << 20  # multiplications of a product that are worth a thread
SPIN_COUNT = 20000  # times that a thread looks for work before it sleeps: about 250 microseconds

# --- matrix products (benchmarks.kernels: matmul) -------------------------------------------------

GEMM_MIN_ROWS = 128  # rows of a from which on packing b pays
GEMM_MIN_SIDE = 32  # the other two sides from which on it does
GEMM_BLOCK_BYTES = 3 << 20  # a block of a's rows, which stays in the level-2 cache for all panels
GEMM_MAX_COLUMN_READ = 1 << 18  # numbers of b, at most, for which a transposed a is not copied
STRASSEN_MIN_SIDE = 240  # of all three sides, from which on seven products of quarters pay
TRANSPOSE_COLUMNS = 64  # columns that are read before the next rows

# --- convolutions (benchmarks.kernels: conv2d) ----------------------------------------------------

DIRECT_MIN_PIXELS = 512  # outputs of a block: a panel of the filter is used again for each
DIRECT_MAX_SCRATCH = 1 << 18  # numbers of a block's padded pictures: they fit the cache
WINOGRAD_MIN_TILES = 64  # 2x2 output tiles of a block: a panel is used again for each
WINOGRAD_MIN_TILES_GRAD_W = 128  # the same for the filter's gradient, which sums over them
WINOGRAD_MAX_SCRATCH = 1 << 17  # numbers of a block's transformed input, if it has more tiles
STRIDE2_MIN_TILES = 64  # 2x2 output tiles, so that their products outweigh the filter transform
STRIDE2_MIN_PANELS = 1  # panels that input and output channels fill
FILTER_BLOCK = 128  # input channels that the filter transform handles at a time
MAX_PRIVATE_GRADIENT = 1 << 17  # numbers of a gradient of which each chunk may have a copy
