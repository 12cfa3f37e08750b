// Matrix products and convolutions are one algorithm here,
//
//     out[row, column] = bias[column] + sum over inner of left(row, inner) right(column, inner),
//
// and differ only in where left and right are read. A block computes a tile of ROWS x COLUMNS
// outputs. It goes through the sum in steps of DEPTH: all threads copy the two strips that the
// step needs into shared memory, where each number is read by 16 threads; each thread keeps 8 x
// WIDTH sums in registers. There are two pairs of strips: while one is multiplied, the next is on
// its way from memory to registers and then to the other pair, so that one barrier per step is
// enough.
//
// Each thread multiplies 8 numbers of one strip by WIDTH of the other: the wider the tile, the more
// products for each number that is read, but the fewer tiles for all multiprocessors to work on.
//
// An operand tells where its numbers are. `outer` is its index in the output, `inner` the one
// that is summed over; each is decoded once, far from the innermost loop, into whatever `at`
// needs. INNER_ADJACENT: neighbours in memory are neighbours along inner, so that threads should
// be too.

constexpr int ROWS = 128, DEPTH = 8, SIDE = 16, HEIGHT = ROWS / SIDE;
constexpr int SPACE = 4;  // keeps writes of one column in different banks of the shared memory

// So many blocks at least share a multiprocessor: while one waits, another multiplies. Two leave
// each thread 128 registers, which some kernels would exceed by a few, and which the sums of
// float64 do not fit into.
template <typename T>
constexpr int RESIDENT = sizeof(T) == 4 ? 2 : 1;
template <typename T, int COLUMNS>
constexpr int RESIDENT_IF_WIDE = COLUMNS == 128 ? RESIDENT<T> : 1;

// p[outer * outer_step + inner * inner_step]
template <typename T, bool INNER>
struct Matrix {
    static constexpr bool INNER_ADJACENT = INNER;
    typedef Index Outer;
    typedef Index Inner;
    const T* p;
    Index outer_step, inner_step;
    __device__ Index outer(Index i) const { return i * outer_step; }
    __device__ Index inner(Index i) const { return i * inner_step; }
    __device__ T at(Index outer, Index inner) const { return p[outer + inner]; }
};

// The strip of an operand that a step needs, OUTERS x DEPTH: on its way it is in the registers of
// all threads. A thread has one inner index in each step, and the same outer ones in all of them.
// Outer indices past the end repeat the last one, and what comes of them is not stored; inner
// indices past the end read as zero.
template <typename T, class Operand, int OUTERS>
struct Strip {
    static constexpr bool INNER = Operand::INNER_ADJACENT;
    static constexpr int ACROSS = THREADS / DEPTH;  // threads for one inner index
    static constexpr int COUNT = (OUTERS + ACROSS - 1) / ACROSS;  // outer indices of a thread
    typename Operand::Outer outers[COUNT];
    T held[COUNT];

    __device__ static int inner() { return INNER ? threadIdx.x % DEPTH : threadIdx.x / ACROSS; }
    __device__ static int outer(int e) {
        return (INNER ? threadIdx.x / DEPTH : threadIdx.x % ACROSS) + e * ACROSS;
    }
    __device__ void begin(const Operand& operand, Index first, Index outer_count) {
#pragma unroll
        for (int e = 0; e < COUNT; e++)
            outers[e] = operand.outer(min(first + outer(e), outer_count - 1));
    }
    __device__ void fetch(const Operand& operand, Index first, Index last) {
        const Index i = first + inner();
        const auto place = operand.inner(i);
#pragma unroll
        for (int e = 0; e < COUNT; e++)
            held[e] = i < last ? operand.at(outers[e], place) : T(0);
    }
    __device__ void put(T (*shared)[OUTERS + SPACE]) const {
#pragma unroll
        for (int e = 0; e < COUNT; e++)
            if (outer(e) < OUTERS) shared[inner()][outer(e)] = held[e];
    }
};

// The block's tile of the product, over inner indices from first to last. place(row) is where the
// outputs of a row begin; bias may be null.
template <typename T, int COLUMNS, class Left, class Right, class Place>
__device__ void multiply(const Left& left, const Right& right, const T* bias, Place place,
                         Index rows, Index columns, Index first, Index last) {
    constexpr int WIDTH = COLUMNS / SIDE, GROUP = WIDTH < 4 ? WIDTH : 4;
    alignas(16) __shared__ T l[2][DEPTH][ROWS + SPACE];
    alignas(16) __shared__ T r[2][DEPTH][COLUMNS + SPACE];
    const Index row = (Index)blockIdx.x * ROWS, column = (Index)blockIdx.y * COLUMNS;
    const int top = threadIdx.x / SIDE * HEIGHT;
    // A thread's columns are in groups of at most 16 bytes, those of all threads side by side: so
    // that no two threads read the same bank of the shared memory at a time.
    auto across = [](int j) {
        return j / GROUP * SIDE * GROUP + threadIdx.x % SIDE * GROUP + j % GROUP;
    };

    Strip<T, Left, ROWS> lefts;
    Strip<T, Right, COLUMNS> rights;
    lefts.begin(left, row, rows);
    rights.begin(right, column, columns);
    lefts.fetch(left, first, last);
    rights.fetch(right, first, last);
    lefts.put(l[0]);
    rights.put(r[0]);
    __syncthreads();

    T sums[HEIGHT][WIDTH] = {};
    int now = 0;
    for (Index inner = first; inner < last; inner += DEPTH) {
        const bool more = inner + DEPTH < last;
        if (more) {
            lefts.fetch(left, inner + DEPTH, last);
            rights.fetch(right, inner + DEPTH, last);
        }
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            T a[HEIGHT], b[WIDTH];
#pragma unroll
            for (int i = 0; i < HEIGHT; i++) a[i] = l[now][d][top + i];
#pragma unroll
            for (int j = 0; j < WIDTH; j++) b[j] = r[now][d][across(j)];
#pragma unroll
            for (int i = 0; i < HEIGHT; i++)
#pragma unroll
                for (int j = 0; j < WIDTH; j++) sums[i][j] += a[i] * b[j];
        }
        if (more) {
            lefts.put(l[1 - now]);
            rights.put(r[1 - now]);
            __syncthreads();
        }
        now = 1 - now;
    }
#pragma unroll
    for (int i = 0; i < HEIGHT; i++) {
        if (row + top + i >= rows) break;
        T* out = place(row + top + i);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            const Index c = column + across(j);
            if (c < columns) out[c] = sums[i][j] + (bias ? bias[c] : T(0));
        }
    }
}

// Where there are few tiles and long sums, the sums are cut in `parts`, the parts go to memory
// one behind the other, and add_parts adds them up in order.
struct Part {
    Index first, last;
    __device__ Part(Index part, Index parts, Index length) {
        const Index steps = (length + parts * DEPTH - 1) / (parts * DEPTH);
        first = min(length, part * steps * DEPTH);
        last = min(length, first + steps * DEPTH);
    }
};

template <typename T>
__global__ void add_parts(const T* in, const T* bias, T* out, Index size, Index columns,
                          Index parts) {
    for (Index i = start(); i < size; i += stride()) {
        T sum = bias ? bias[i % columns] : T(0);
        for (Index part = 0; part < parts; part++) sum += in[part * size + i];
        out[i] = sum;
    }
}

// y (batch, rows, columns) = a b, each of a and b read by its own steps; blockIdx.z is
// batch * parts + part.
struct Steps {
    Index batch, outer, inner;
};

template <typename T, int COLUMNS, bool A_INNER, bool B_INNER>
__global__ void __launch_bounds__(THREADS, RESIDENT_IF_WIDE<T, COLUMNS>)
matmul(const T* a, const T* b, T* y, Steps of_a, Steps of_b, Index batch, Index rows,
       Index columns, Index length, Index parts) {
    const Index i = blockIdx.z / parts, part = blockIdx.z % parts;
    const Matrix<T, A_INNER> left = {a + i * of_a.batch, of_a.outer, of_a.inner};
    const Matrix<T, B_INNER> right = {b + i * of_b.batch, of_b.outer, of_b.inner};
    T* out = y + (part * batch + i) * rows * columns;
    const Part sum(part, parts, length);
    multiply<T, COLUMNS>(left, right, (const T*)nullptr,
                         [=](Index row) { return out + row * columns; }, rows, columns, sum.first,
                         sum.last);
}
