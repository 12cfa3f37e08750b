// The kernels for the GPU, in CUDA C++. What each one means is in ../reference.py; who launches
// it is the Python file of the same name as its own. This file is the beginning of them all.
//
// How to read them. A __global__ function runs once for every thread of a grid of blocks of
// THREADS threads each; the threads of a block share what is marked __shared__ and wait for each
// other at __syncthreads(). Every kernel is a template over T, float or double. Numbers come from
// Python as they are there, an int as Index, a float as double; every array is one run of memory.
//
// Equal inputs give equal results, bit for bit: no sum depends on which block is done first.

typedef long long Index;  // 64 bits: pictures times pixels times channels can pass 2^31
constexpr int THREADS = 256;  // of every block

// a / b, neither below 0. Division of 64 bits takes many times as long as of 32.
__device__ Index quotient(Index a, Index b) {
    return (a | b) >> 31 ? a / b : (Index)((unsigned)a / (unsigned)b);
}

// All threads of the grid share a loop: for (Index i = start(); i < n; i += stride())
__device__ Index start() { return (Index)blockIdx.x * THREADS + threadIdx.x; }
__device__ Index stride() { return (Index)gridDim.x * THREADS; }

struct Place {  // of number i in pictures (N, H, W, C)
    Index picture;
    int h, w, c;
    __device__ Place(Index i, Index H, Index W, Index C) {
        const Index pixel = quotient(i, C), row = quotient(pixel, W);
        picture = quotient(row, H);
        c = (int)(i - pixel * C);
        w = (int)(pixel - row * W);
        h = (int)(row - picture * H);
    }
};

// g, slope times where x <= 0. With slope 0 nothing is left of g, not even its sign or NaN.
template <typename T>
__device__ T sloped(T g, T x, T slope) {
    return x <= 0 ? (slope > 0 ? slope * g : slope) : g;
}

template <typename T>
__device__ T leaky(T x, T slope) {
    return sloped(x, x, slope);
}
