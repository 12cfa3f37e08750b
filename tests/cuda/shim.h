// CUDA's words for g++: a launch runs on the processor, one block after the other. The threads of a
// block are fibers; each runs until it waits at __syncthreads() or ends, then the next one does. A
// barrier that is missing shows as a wrong number, in one order of the threads or in the other; one
// that not all threads reach is an error. Not seen: races between threads that run at one time.

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct Three {
    unsigned x, y, z;
};
static Three threadIdx, blockIdx, gridDim;

using std::exp;
using std::fabs;
using std::log;
using std::sqrt;
template <class T>
static T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
static void sincospi(T x, T* sine, T* cosine) {
    *sine = (T)std::sin(3.14159265358979323846 * x);
    *cosine = (T)std::cos(3.14159265358979323846 * x);
}

namespace fibers {

constexpr int MOST = 256;
constexpr size_t STACK = 1 << 16;
static char* stacks = nullptr;
static bool ended[MOST];
static int current;
static void (*body)(void**);
static void** arguments;
static void body_of_fiber();

#if defined(__x86_64__)
extern "C" void fiber_switch(void** from, void* to);
asm(".text\n.type fiber_switch, @function\nfiber_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
static void *scheduler, *fiber[MOST];
static void create(int t) {
    void** top = (void**)(stacks + (t + 1) * STACK);
    top[-1] = nullptr;                // where the fiber would return to, were it to
    top[-2] = (void*)&body_of_fiber;  // where the first switch returns to
    fiber[t] = top - 8;               // below are six registers
    memset(fiber[t], 0, 6 * sizeof(void*));
}
static void enter(int t) { fiber_switch(&scheduler, fiber[t]); }
static void leave() { fiber_switch(&fiber[current], scheduler); }
#else
#include <ucontext.h>
static ucontext_t scheduler, fiber[MOST];
static void create(int t) {
    getcontext(&fiber[t]);
    fiber[t].uc_stack.ss_sp = stacks + t * STACK;
    fiber[t].uc_stack.ss_size = STACK;
    makecontext(&fiber[t], body_of_fiber, 0);
}
static void enter(int t) { swapcontext(&scheduler, &fiber[t]); }
static void leave() { swapcontext(&fiber[current], &scheduler); }
#endif

static void body_of_fiber() {
    body(arguments);
    ended[current] = true;
    leave();
}

// Returns whether all threads reached the same barriers.
static bool run_block(int threads, bool backwards) {
    if (!stacks) stacks = (char*)aligned_alloc(STACK, MOST * STACK);
    for (int t = 0; t < threads; t++) create(t), ended[t] = false;
    for (int alive = threads; alive > 0;) {
        int now = 0;
        for (int i = 0; i < threads; i++) {
            current = backwards ? threads - 1 - i : i;
            threadIdx = {(unsigned)current, 0, 0};
            enter(current);
            now += ended[current];
        }
        if (now != 0 && now != threads) return false;
        alive -= now;
    }
    return true;
}

}  // namespace fibers

static void __syncthreads() { fibers::leave(); }

// What a kernel takes, a word for each argument: p and the size of what it points at, or the type's
// letter and its own size.
template <class A>
static std::string word() {
    if constexpr (std::is_pointer_v<A>) {
        typedef std::remove_pointer_t<A> P;
        return (std::is_floating_point_v<P> ? "pf" : "pi") + std::to_string(sizeof(P)) + " ";
    } else {
        const char* kind = std::is_floating_point_v<A> ? "f" : std::is_integral_v<A> ? "i" : "s";
        return kind + std::to_string(sizeof(A)) + " ";
    }
}

template <auto kernel>
struct Call;
template <class... A, void (*kernel)(A...)>
struct Call<kernel> {
    template <size_t... I>
    static void unpack(void** a, std::index_sequence<I...>) {
        kernel(*(A*)a[I]...);
    }
    static void run(void** a) { unpack(a, std::index_sequence_for<A...>()); }
    static std::string signature() { return (word<A>() + ... + std::string()); }
};

struct Entry {
    const char* name;
    void (*run)(void**);
    std::string (*signature)();
};
extern const Entry entries[];  // follows the kernels, and ends with a name that is null

static const Entry* find(const char* name) {
    for (const Entry* e = entries; e->name; e++)
        if (!strcmp(e->name, name)) return e;
    return nullptr;
}

extern "C" const char* signature(const char* name) {
    static std::string answer;
    const Entry* e = find(name);
    return e ? (answer = e->signature()).c_str() : nullptr;
}

// 0, or 1 where the threads of a block did not all reach the same barriers.
extern "C" int launch(const char* name, const unsigned* grid, int threads, int backwards,
                      void** arguments) {
    fibers::body = find(name)->run;
    fibers::arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                if (!fibers::run_block(threads, backwards)) return 1;
            }
    return 0;
}
