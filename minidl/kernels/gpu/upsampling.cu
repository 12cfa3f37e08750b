// Convolution of a doubled picture, by the algebra of ../doubling.py: V (9, pixels, C) are the
// nine transforms of x (N, H, W, C), U (9, C, O) those of the window, P = V U (9, pixels, O) the
// nine products. Each kernel gathers: a thread computes all that belongs to its own pixel and
// channel, and nobody else writes there.

// along either axis (x[i], x[i] - x[i-1], x[i+1] - x[i])
template <typename T>
__device__ void differences(T before, T here, T after, T (&out)[3]) {
    out[0] = here;
    out[1] = here - before;
    out[2] = after - here;
}

template <typename T>
__global__ void transform(const T* x, T* V, Index size, Index H, Index W, Index C) {
    for (Index i = start(); i < size; i += stride()) {
        const Place at(i, H, W, C);
        T columns[3][3];  // [left, middle, right][which difference along the rows]
        for (int l = -1; l <= 1; l++) {
            const bool there = at.w + l >= 0 && at.w + l < W;
            const T* p = x + i + l * C;
            differences(there && at.h > 0 ? p[-W * C] : T(0), there ? p[0] : T(0),
                        there && at.h < H - 1 ? p[W * C] : T(0), columns[l + 1]);
        }
        for (int a = 0; a < 3; a++) {
            T three[3];
            differences(columns[0][a], columns[1][a], columns[2][a], three);
            for (int b = 0; b < 3; b++) V[(3 * a + b) * size + i] = three[b];
        }
    }
}

// The transpose: x[i] is in V0[i], V1[i], -V1[i+1], -V2[i] and V2[i-1].
template <typename T>
__global__ void transform_back(const T* V, T* dx, Index size, Index H, Index W, Index C) {
    const int which[5] = {0, 1, 1, 2, 2}, shift[5] = {0, 0, 1, 0, -1}, sign[5] = {1, 1, -1, -1, 1};
    for (Index i = start(); i < size; i += stride()) {
        const Place at(i, H, W, C);
        T sum = 0;
#pragma unroll
        for (int a = 0; a < 5; a++)
#pragma unroll
            for (int b = 0; b < 5; b++) {
                const int h = at.h + shift[a], w = at.w + shift[b];
                if (h >= 0 && h < H && w >= 0 && w < W)
                    sum += T(sign[a] * sign[b]) * V[(3 * which[a] + which[b]) * size + i +
                                                    (shift[a] * W + shift[b]) * C];
            }
        dx[i] = sum;
    }
}

// y (N, 2H, 2W, O) from P (9, size), size = N H W O: each of a pixel's four outputs is a sum of
// four.
template <typename T>
__global__ void combine(const T* P, const T* bias, T* y, Index size, Index W, Index O) {
    for (Index i = start(); i < size; i += stride()) {
        const Index pixel = quotient(i, O), row = quotient(pixel, W);
        const Index o = i - pixel * O, w = pixel - row * W;
        const T shared = P[i] + bias[o];
        for (int below = 0; below < 2; below++) {
            const Index a = 3 * (1 + below);
            for (int right = 0; right < 2; right++) {
                const Index b = 1 + right;
                y[((2 * row + below) * 2 * W + 2 * w + right) * O + o] =
                    shared + P[a * size + i] + P[b * size + i] + P[(a + b) * size + i];
            }
        }
    }
}

template <typename T>
__global__ void combine_back(const T* g, T* P, Index size, Index W, Index O) {
    for (Index i = start(); i < size; i += stride()) {
        const Index pixel = quotient(i, O), row = quotient(pixel, W);
        const Index o = i - pixel * O, w = pixel - row * W;
        const T* above = g + (2 * row * 2 * W + 2 * w) * O + o;
        const T* below = above + 2 * W * O;
        const T g00 = above[0], g01 = above[O], g10 = below[0], g11 = below[O];
        const T nine[9] = {(g00 + g01) + (g10 + g11), g00 + g10, g01 + g11,
                           g00 + g01, g00, g01, g10 + g11, g10, g11};
        for (int k = 0; k < 9; k++) P[k * size + i] = nine[k];
    }
}

// U (9, size) of a window w (3, 3, size), size = C O: (w0 + w1 + w2, -w0, w2) along both axes.
template <typename T>
__global__ void window_factors(const T* w, T* U, Index size) {
    for (Index i = start(); i < size; i += stride()) {
        T rows[3][3];
        for (int l = 0; l < 3; l++) {
            const T w0 = w[l * size + i], w1 = w[(3 + l) * size + i], w2 = w[(6 + l) * size + i];
            rows[0][l] = w0 + w1 + w2, rows[1][l] = -w0, rows[2][l] = w2;
        }
        for (int a = 0; a < 3; a++) {
            U[3 * a * size + i] = rows[a][0] + rows[a][1] + rows[a][2];
            U[(3 * a + 1) * size + i] = -rows[a][0];
            U[(3 * a + 2) * size + i] = rows[a][2];
        }
    }
}

// The transpose: dw (3, 3, size) from dU (9, size).
template <typename T>
__global__ void window_back(const T* dU, T* dw, Index size) {
    for (Index i = start(); i < size; i += stride()) {
        T columns[3][3];
        for (int a = 0; a < 3; a++) {
            const T* u = dU + 3 * a * size + i;
            columns[a][0] = u[0] - u[size], columns[a][1] = u[0];
            columns[a][2] = u[0] + u[2 * size];
        }
        for (int l = 0; l < 3; l++) {
            dw[l * size + i] = columns[0][l] - columns[1][l];
            dw[(3 + l) * size + i] = columns[0][l];
            dw[(6 + l) * size + i] = columns[0][l] + columns[2][l];
        }
    }
}
