// Element by element. These only wait for memory, so they read and write 16 bytes at a time,
// where arrays begin at a multiple of 16. The last few numbers, or all where an array begins
// elsewhere, go one by one.

template <typename T>
struct alignas(16) Pack {
    static constexpr int SIZE = 16 / sizeof(T);
    T at[SIZE];
};

// y[i] = f(x[i]...) for all i < n, over the whole grid.
template <typename T, class F, class... Input>
__device__ void map(Index n, F f, T* y, const Input*... x) {
    constexpr int SIZE = Pack<T>::SIZE;
    const bool aligned = (((size_t)y | ... | (size_t)x) & 15) == 0;
    const Index packs = aligned ? n / SIZE : 0;
    auto pack = [&](const Pack<Input>&... p) {
        Pack<T> out;
#pragma unroll
        for (int k = 0; k < SIZE; k++) out.at[k] = f(p.at[k]...);
        return out;
    };
    for (Index i = start(); i < packs; i += stride())
        ((Pack<T>*)y)[i] = pack(((const Pack<Input>*)x)[i]...);
    for (Index i = packs * SIZE + start(); i < n; i += stride()) y[i] = f(x[i]...);
}

// As in ../subnormal.py: the smallest normal number, and its root. A GPU is not slowed by subnormal
// numbers; this is so that it computes what the CPU does.
template <typename T>
constexpr T TINY = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022);
template <typename T>
constexpr T LEAST = sizeof(T) == 4 ? T(0x1p-63) : T(0x1p-511);

template <typename T>
__device__ T flush_to_zero(T x, T limit) {
    return fabs(x) < limit ? T(0) : x;
}

template <typename T>
__global__ void sigmoid(const T* x, T* y, Index n) {
    map(n, [](T x) {
        const T e = exp(-fabs(x));  // at most 1: nothing overflows
        return flush_to_zero((x >= 0 ? T(1) : e) / (T(1) + e), LEAST<T>);
    }, y, x);
}

template <typename T>
__global__ void sigmoid_grad(const T* g, const T* y, T* dx, Index n) {
    map(n, [](T g, T y) { return flush_to_zero(g * y * (T(1) - y), LEAST<T>); }, dx, g, y);
}

template <typename T>
__global__ void tanh_grad(const T* g, const T* y, T* dx, Index n) {
    map(n, [](T g, T y) { return g * (T(1) - y * y); }, dx, g, y);
}

template <typename T>
__global__ void leaky_relu(const T* x, T* y, Index n, double slope) {
    const T s = slope;
    map(n, [s](T x) { return leaky(x, s); }, y, x);
}

template <typename T>
__global__ void leaky_relu_grad(const T* g, const T* x, T* dx, Index n, double slope) {
    const T s = slope;
    map(n, [s](T g, T x) { return sloped(g, x, s); }, dx, g, x);
}

template <typename T>
__global__ void add(const T* a, const T* b, T* y, Index n) {
    map(n, [](T a, T b) { return a + b; }, y, a, b);
}

template <typename T>
__global__ void squared_distance_grad(const T* a, const T* b, T* da, Index n, const T* g) {
    const T twice = T(2) * *g;
    map(n, [twice](T a, T b) { return twice * (a - b); }, da, a, b);
}

// Adam over many parameters at once: a network has tens of arrays, most of them small, and a
// launch costs more than the work on a bias. The table travels among the arguments, at most 4 KB
// in all. Block b works on CHUNK numbers of array i, where first[i] <= b < first[i + 1].
constexpr int SLOTS = 64, CHUNK = 4096;

template <typename T>
struct Table {
    T* p[SLOTS];
    const T* g[SLOTS];
    T *m[SLOTS], *v[SLOTS];
    Index size[SLOTS];
    int first[SLOTS + 1];
};

template <typename T>
__global__ void adam(const Table<T> table, double lr, double rest1, double rest2, double eps) {
    int i = 0;
    while (table.first[i + 1] <= (int)blockIdx.x) i++;
    T *p = table.p[i], *m = table.m[i], *v = table.v[i];
    const T* g = table.g[i];
    const Index start = (Index)(blockIdx.x - table.first[i]) * CHUNK;
    const Index end = min(table.size[i], start + CHUNK);
#pragma unroll 4
    for (Index k = start + threadIdx.x; k < end; k += THREADS) {
        const T gradient = g[k];
        const T mean = flush_to_zero(m[k] + T(rest1) * (gradient - m[k]), TINY<T>);
        const T square = flush_to_zero(v[k] + T(rest2) * (gradient * gradient - v[k]), TINY<T>);
        m[k] = mean;
        v[k] = square;
        p[k] -= T(lr) * mean / (sqrt(square) + T(eps));
    }
}
