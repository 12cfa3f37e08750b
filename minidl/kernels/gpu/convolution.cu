// The convolution is the product of a matrix of windows, a row for each output pixel, a column
// for each tap (k, l, c), and of w, which has a row for each tap. The matrix of windows is never
// in memory: an operand finds its numbers in the pictures, and zeros around them.
//
// A pixel is decoded into its picture and the place of its window, a tap into its place in that.

struct View {  // pictures H x W x C, windows of L pixels in a row, P x Q places for them
    int H, W, C, L, P, Q, stride, top, left;
};

template <typename T>
struct Windows {
    const T* x;
    View v;
    struct Pixel {
        const T* picture;
        int h, w;
    };
    struct Tap {
        int k, l, c;
    };
    __device__ Pixel pixel(Index i) const {
        const Index row = quotient(i, v.Q), n = quotient(row, v.P);
        const int p = (int)(row - n * v.P), q = (int)(i - row * v.Q);
        return {x + n * ((Index)v.H * v.W * v.C), p * v.stride - v.top, q * v.stride - v.left};
    }
    __device__ Tap tap(Index i) const {
        const int c = (int)i % v.C, place = (int)i / v.C;
        return {place / v.L, place % v.L, c};
    }
    __device__ T number(const Pixel& p, const Tap& t) const {
        const int h = p.h + t.k, w = p.w + t.l;
        const bool inside = (unsigned)h < (unsigned)v.H && (unsigned)w < (unsigned)v.W;
        return inside ? p.picture[((Index)h * v.W + w) * v.C + t.c] : T(0);
    }
};

template <typename T>
struct PixelsOuter : Windows<T> {
    static constexpr bool INNER_ADJACENT = true;
    typedef typename Windows<T>::Pixel Outer;
    typedef typename Windows<T>::Tap Inner;
    __device__ Outer outer(Index i) const { return this->pixel(i); }
    __device__ Inner inner(Index i) const { return this->tap(i); }
    __device__ T at(const Outer& p, const Inner& t) const { return this->number(p, t); }
};

template <typename T>
struct TapsOuter : Windows<T> {
    static constexpr bool INNER_ADJACENT = false;
    typedef typename Windows<T>::Tap Outer;
    typedef typename Windows<T>::Pixel Inner;
    __device__ Outer outer(Index i) const { return this->tap(i); }
    __device__ Inner inner(Index i) const { return this->pixel(i); }
    __device__ T at(const Outer& t, const Inner& p) const { return this->number(p, t); }
};

// y (pixels, O) = windows of x (pixels, taps) times w (taps, O), plus bias; blockIdx.z is the
// part.
template <typename T, int COLUMNS>
__global__ void __launch_bounds__(THREADS, RESIDENT_IF_WIDE<T, COLUMNS>)
conv2d(const T* x, const T* w, const T* bias, T* y, View view, Index pixels, Index taps, Index O,
       Index parts) {
    const PixelsOuter<T> left = {{x, view}};
    const Matrix<T, false> right = {w, 1, O};
    T* out = y + blockIdx.z * pixels * O;
    const Part sum(blockIdx.z, parts, taps);
    multiply<T, COLUMNS>(left, right, bias, [=](Index row) { return out + row * O; }, pixels, O,
                         sum.first, sum.last);
}

// dw (taps, O) = windows of x, transposed (taps, pixels), times g (pixels, O); blockIdx.z is the
// part.
template <typename T, int COLUMNS>
__global__ void __launch_bounds__(THREADS, RESIDENT_IF_WIDE<T, COLUMNS>)
conv2d_grad_w(const T* x, const T* g, T* dw, View view, Index pixels, Index taps, Index O,
              Index parts) {
    const TapsOuter<T> left = {{x, view}};
    const Matrix<T, false> right = {g, 1, O};
    T* out = dw + blockIdx.z * taps * O;
    const Part sum(blockIdx.z, parts, pixels);
    multiply<T, COLUMNS>(left, right, (const T*)nullptr, [=](Index row) { return out + row * O; },
                         taps, O, sum.first, sum.last);
}

// At stride s, an input pixel (s u + i, s v + j) was seen by every s-th tap of w only, from the
// tap (k0, l0) on. For each of these s x s phases (i, j), dx is the convolution of g, at stride
// 1, with those taps in reverse order. A of them are in a column of w, B in a row.
struct Geometry {
    int H, W, C, K, L, O, P, Q, stride, top, left;
};

struct Phase {
    int i, j, U, V, k0, l0, A, B, p0, q0, taps;
    __device__ static int many(int first, int end, int step) {
        return first < end ? (end - first + step - 1) / step : 0;
    }
    __device__ Phase(const Geometry& n, int phase) {
        i = phase / n.stride, j = phase % n.stride;
        U = many(i, n.H, n.stride), V = many(j, n.W, n.stride);
        k0 = (i + n.top) % n.stride, l0 = (j + n.left) % n.stride;
        A = many(k0, n.K, n.stride), B = many(l0, n.L, n.stride);
        p0 = (i + n.top) / n.stride - A + 1, q0 = (j + n.left) / n.stride - B + 1;
        taps = A * B;
        if (B == 0) B = 1;  // something is divided by it all the same
    }
};

// w as the factor of a phase: its column is an input channel c, its inner index a tap (a, b, o).
template <typename T>
struct Reversed {
    static constexpr bool INNER_ADJACENT = true;
    typedef Index Outer;
    typedef Index Inner;
    const T* w;
    Geometry n;
    Phase f;
    __device__ Index outer(Index c) const { return c * n.O; }
    __device__ Index inner(Index i) const {
        const int o = (int)i % n.O, place = (int)i / n.O;
        const int k = f.k0 + n.stride * (f.A - 1 - place / f.B);
        const int l = f.l0 + n.stride * (f.B - 1 - place % f.B);
        return (Index)(k * n.L + l) * n.C * n.O + o;
    }
    __device__ T at(Index outer, Index inner) const { return w[outer + inner]; }
};

// dx (N, H, W, C) from g (N, P, Q, O); blockIdx.z is phase * parts + part.
template <typename T, int COLUMNS>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>)
conv2d_grad_x(const T* g, const T* w, T* dx, Geometry n, Index N, Index parts) {
    const Phase f(n, blockIdx.z / parts);
    const Index part = blockIdx.z % parts, rows = N * f.U * f.V;
    if ((Index)blockIdx.x * ROWS >= rows) return;  // the first phase may have more than this one
    const View view = {n.P, n.Q, n.O, f.B, f.U, f.V, 1, -f.p0, -f.q0};
    const PixelsOuter<T> left = {{g, view}};
    const Reversed<T> right = {w, n, f};
    T* out = dx + part * N * n.H * n.W * n.C;
    auto place = [=](Index row) {
        const Index line = quotient(row, f.V), picture = quotient(line, f.U);
        const Index h = f.i + (line - picture * f.U) * n.stride;
        const Index w = f.j + (row - line * f.V) * n.stride;
        return out + ((picture * n.H + h) * n.W + w) * n.C;
    };
    const Part sum(part, parts, (Index)f.taps * n.O);
    multiply<T, COLUMNS>(left, right, (const T*)nullptr, place, rows, n.C, sum.first, sum.last);
}

// The other way to the same products: the matrix of windows is laid out in memory, for cuBLAS.
// columns (pixels, taps), size numbers in all
template <typename T>
__global__ void unroll(const T* x, T* columns, View view, Index size, Index taps) {
    const Windows<T> windows = {x, view};
    for (Index i = start(); i < size; i += stride()) {
        const Index pixel = quotient(i, taps);
        columns[i] = windows.number(windows.pixel(pixel), windows.tap(i - pixel * taps));
    }
}

// The transpose: each number of dx (N, H, W, C) is the sum over the windows that it was in.
template <typename T>
__global__ void roll_up(const T* columns, T* dx, Geometry n, Index size) {
    const Index taps = (Index)n.K * n.L * n.C;
    for (Index i = start(); i < size; i += stride()) {
        const Place at(i, n.H, n.W, n.C);
        T sum = 0;
        for (int k = (at.h + n.top) % n.stride; k < n.K; k += n.stride) {
            const int p = (at.h + n.top - k) / n.stride;
            if (at.h + n.top < k || p >= n.P) continue;
            for (int l = (at.w + n.left) % n.stride; l < n.L; l += n.stride) {
                const int q = (at.w + n.left - l) / n.stride;
                if (at.w + n.left < l || q >= n.Q) continue;
                const Index pixel = (at.picture * n.P + p) * n.Q + q;
                sum += columns[pixel * taps + (k * n.L + l) * n.C + at.c];
            }
        }
        dx[i] = sum;
    }
}
