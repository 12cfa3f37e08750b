// Random numbers. Philox 4x32-10 (Salmon et al. 2011): number i is a function of the seed and of
// i alone, so every thread finds its own without a state. `philox.py` says the same in NumPy.
// `counter` is in the GPU's memory, where a graph of captured launches can move it on.

typedef unsigned long long Word64;

struct Four {
    unsigned at[4];
};

__device__ Four philox(Word64 counter, Word64 seed) {
    unsigned c0 = (unsigned)counter, c1 = (unsigned)(counter >> 32), c2 = 0, c3 = 0;
    unsigned k0 = (unsigned)seed, k1 = (unsigned)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const Word64 a = (Word64)0xD2511F53u * c0, b = (Word64)0xCD9E8D57u * c2;
        c0 = (unsigned)(b >> 32) ^ c1 ^ k0, c1 = (unsigned)b;
        c2 = (unsigned)(a >> 32) ^ c3 ^ k1, c3 = (unsigned)a;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Uniform numbers in [0, 1) with all bits of the type: four floats or two doubles of four words.
__device__ void uniforms(const Four& words, float (&out)[4]) {
    for (int k = 0; k < 4; k++) out[k] = (words.at[k] >> 8) * 0x1p-24f;
}

__device__ Word64 pair(const Four& words, int k) {
    return (Word64)words.at[2 * k] << 32 | words.at[2 * k + 1];
}

__device__ void uniforms(const Four& words, double (&out)[2]) {
    for (int k = 0; k < 2; k++) out[k] = (pair(words, k) >> 11) * 0x1p-53;
}

template <typename T, bool NORMAL>
__global__ void random_floats(T* out, Index n, Word64 seed, const Word64* counter) {
    constexpr int SIZE = 16 / sizeof(T);
    for (Index i = start(); i * SIZE < n; i += stride()) {
        T u[SIZE];
        uniforms(philox(*counter + i, seed), u);
        if (NORMAL)  // Box & Muller: two of two
            for (int k = 0; k < SIZE; k += 2) {
                const T radius = sqrt(T(-2) * log(T(1) - u[k]));
                T sine, cosine;
                sincospi(T(2) * u[k + 1], &sine, &cosine);
                u[k] = radius * cosine, u[k + 1] = radius * sine;
            }
        for (int k = 0; k < SIZE && i * SIZE + k < n; k++) out[i * SIZE + k] = u[k];
    }
}

// Whole numbers from low to below low + range: a word's share of it, or, of ranges above 2^16, the
// rest of two words. Some are more likely than others, by range / 2^32 or range / 2^64.
__global__ void random_integers(Index* out, Index n, Index low, Index range, Word64 seed,
                                const Word64* counter) {
    const int size = range > (Index)1 << 16 ? 2 : 4;
    for (Index i = start(); i * size < n; i += stride()) {
        const Four words = philox(*counter + i, seed);
        for (int k = 0; k < size && i * size + k < n; k++)
            out[i * size + k] =
                low + (Index)(size == 4 ? (Word64)words.at[k] * (Word64)range >> 32
                                        : pair(words, k) % (Word64)range);
    }
}

// counter = (keep ? counter : 0) + more, once all launches before have read it
__global__ void move_counter(Word64* counter, Index keep, Index more) {
    if (threadIdx.x == 0) *counter = (keep ? *counter : 0) + more;
}
