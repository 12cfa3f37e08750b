// Statistics of channels. x is (rows, C). Neighbouring threads have neighbouring numbers: with
// few channels, a block takes several rows at once; with many, blockIdx.x counts pieces of a row.
// A thread stays with its channel. blockIdx.y counts parts of the rows. Sums are kept in double,
// first for each thread, then over the block, then, by a second kernel, over the blocks: always
// in the same order.

//
// A leaky ReLU before a batch norm is computed where x is read: u is short for leaky(x, slope).

struct Lane {
    Index channel, row, rows;  // this thread's channel and first row, of so many that a block takes
    bool idle;
    __device__ Lane(Index C) {
        const int width = (int)min(C, (Index)THREADS);
        rows = THREADS / width;
        row = threadIdx.x / width;
        channel = (Index)blockIdx.x * width + threadIdx.x % width;
        idle = row >= rows || channel >= C;
    }
};

// The block's sums of term(row, channel), which gives SUMS numbers, over the rows of its part.
// They are in `sums` for the lanes whose row is 0.
template <int SUMS, class Term>
__device__ void add_up(const Lane& lane, Index rows, Index C, double (&sums)[SUMS], Term term) {
    __shared__ double shared[SUMS][THREADS];
    const Index each = (rows + gridDim.y - 1) / gridDim.y;
    const Index first = blockIdx.y * each, last = min(rows, first + each);
    for (int s = 0; s < SUMS; s++) sums[s] = 0;
    if (!lane.idle)
        for (Index r = first + lane.row; r < last; r += lane.rows) term(r, lane.channel, sums);
    for (int s = 0; s < SUMS; s++) shared[s][threadIdx.x] = sums[s];
    __syncthreads();
    const int width = (int)min(C, (Index)THREADS);
    for (Index many = lane.rows; many > 1;) {  // the upper half of the lanes to the lower
        const Index half = (many + 1) / 2;
        if (lane.row < many - half)
            for (int s = 0; s < SUMS; s++)
                shared[s][threadIdx.x] += shared[s][threadIdx.x + half * width];
        many = half;
        __syncthreads();
    }
    for (int s = 0; s < SUMS; s++) sums[s] = shared[s][threadIdx.x];
}

// parts (gridDim.y, SUMS, C), from the block's sums
template <int SUMS>
__device__ void store(const Lane& lane, Index C, const double (&sums)[SUMS], double* parts) {
    if (!lane.idle && lane.row == 0)
        for (int s = 0; s < SUMS; s++)
            parts[((Index)blockIdx.y * SUMS + s) * C + lane.channel] = sums[s];
}

template <typename T>
__global__ void channel_sum(const T* x, double* parts, Index rows, Index C) {
    const Lane lane(C);
    double sums[1];
    add_up(lane, rows, C, sums,
           [=](Index r, Index c, double (&sums)[1]) { sums[0] += x[r * C + c]; });
    store(lane, C, sums, parts);
}

template <typename T>
__global__ void batch_norm_sums(const T* g, const T* x, const T* mean, double slope, double* parts,
                             Index rows, Index C) {
    const Lane lane(C);
    const T s = slope, middle = lane.idle ? T(0) : mean[lane.channel];
    double sums[2];
    add_up(lane, rows, C, sums, [=](Index r, Index c, double (&sums)[2]) {
        const T gradient = g[r * C + c];
        sums[0] += gradient;
        sums[1] += gradient * (leaky(x[r * C + c], s) - middle);
    });
    store(lane, C, sums, parts);
}

// As if all numbers, n of them, were of one channel: C is 1.
template <typename T>
__global__ void squared_distance(const T* a, const T* b, double* parts, Index n, Index C) {
    const Lane lane(C);
    double sums[1];
    add_up(lane, n, C, sums, [=](Index i, Index, double (&sums)[1]) {
        const double d = a[i] - b[i];
        sums[0] += d * d;
    });
    store(lane, C, sums, parts);
}

// Mean and variance in one pass: sums of d = u - origin and of d^2. The origin is the first row,
// which is near enough to the mean that nothing cancels when the mean's square is subtracted.
template <typename T>
__global__ void moments(const T* x, double slope, double* parts, Index rows, Index C) {
    const Lane lane(C);
    const T s = slope;
    const double origin = lane.idle ? 0.0 : (double)leaky(x[lane.channel], s);
    double sums[2];
    add_up(lane, rows, C, sums, [=](Index r, Index c, double (&sums)[2]) {
        const double d = (double)leaky(x[r * C + c], s) - origin;
        sums[0] += d;
        sums[1] += d * d;
    });
    store(lane, C, sums, parts);
}

// Both kinds of totals are (sums, C), from parts (count, sums, C), seen as one row of sums x C.
template <typename T>
__global__ void totals(const double* parts, T* out, Index count, Index C) {
    const Lane lane(C);
    double sums[1];
    add_up(lane, count, C, sums,
           [=](Index r, Index c, double (&sums)[1]) { sums[0] += parts[r * C + c]; });
    if (!lane.idle && lane.row == 0) out[lane.channel] = (T)sums[0];
}

template <typename T>
__global__ void moments_totals(const double* parts, const T* x, double slope, T* out, Index count,
                               Index rows, Index C) {
    const Lane lane(C);
    double sums[2];
    add_up(lane, count, C, sums, [=](Index r, Index c, double (&sums)[2]) {
        sums[0] += parts[2 * r * C + c];
        sums[1] += parts[(2 * r + 1) * C + c];
    });
    if (lane.idle || lane.row > 0) return;
    const double mean = sums[0] / rows, square = sums[1] / rows - mean * mean;
    out[lane.channel] = (T)((double)leaky(x[lane.channel], (T)slope) + mean);
    out[C + lane.channel] = (T)(square < 0 ? 0 : square);
}

// f(place, channel) at every place of x (rows, C)
template <class F>
__device__ void over(const Lane& lane, Index rows, Index C, F f) {
    const Index first = blockIdx.y * lane.rows + lane.row, step = gridDim.y * lane.rows;
    if (!lane.idle)
        for (Index r = first; r < rows; r += step) f(r * C + lane.channel);
}

template <typename T>
__global__ void normalize(const T* x, const T* mean, const T* scale, const T* shift, double slope,
                          T* y, Index rows, Index C) {
    const Lane lane(C);
    if (lane.idle) return;
    const T m = mean[lane.channel], s = scale[lane.channel], t = shift[lane.channel], k = slope;
    over(lane, rows, C, [=](Index i) { y[i] = (leaky(x[i], k) - m) * s + t; });
}

template <typename T>
__global__ void batch_norm_grad(const T* g, const T* x, const T* mean, const T* scale,
                                const T* a, const T* b, double slope, T* dx, Index rows, Index C) {
    const Lane lane(C);
    if (lane.idle) return;
    const Index c = lane.channel;
    const T m = mean[c], s = scale[c], of_mean = a[c], of_variance = b[c], k = slope;
    over(lane, rows, C, [=](Index i) {
        const T du = (g[i] - of_mean - of_variance * (leaky(x[i], k) - m)) * s;
        dx[i] = sloped(du, x[i], k);
    });
}
