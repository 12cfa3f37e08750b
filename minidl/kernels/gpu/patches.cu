// Patches laid over each other on a picture (H, W). They overlap, so that threads of patches would
// add to one place. A thread has a pixel instead, and asks all patches whether they cover it: the
// sums are in double and in the order of the patches, as on the CPU.
//
// patches (R C, size, size) begin at rows (R,) x columns (C,); window (size, size) is their weight.

template <typename T, typename Weight>
__global__ void fold(double* total, double* weight, const T* patches, const Index* rows,
                            const Index* columns, const Weight* window, Index H, Index W, Index R,
                            Index C, Index size) {
    for (Index i = start(); i < H * W; i += stride()) {
        const Index h = quotient(i, W), w = i - h * W;
        double sum = total[i], weights = weight[i];
        for (Index r = 0; r < R; r++) {
            const Index y = h - rows[r];
            if (y < 0 || y >= size) continue;
            for (Index c = 0; c < C; c++) {
                const Index x = w - columns[c], at = y * size + x;
                if (x < 0 || x >= size) continue;
                sum += (double)window[at] * (double)patches[(r * C + c) * size * size + at];
                weights += (double)window[at];
            }
        }
        total[i] = sum;
        weight[i] = weights;
    }
}
