"""Every kernel against its meaning in NumPy.

python -m benchmarks.kernels [--threads N] [--json FILE]
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks import harness
from minidl import kernels
from minidl.kernels import reference

rng = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    """Standard normal float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def calls() -> dict[str, tuple]:
    """kernel -> arguments, at the sizes of the papers' networks."""
    x, g, y = numbers(256, 4096), numbers(256, 4096), rng.random((256, 4096), dtype=np.float32)
    p, m, v = numbers(1 << 20), numbers(1 << 20), rng.random(1 << 20, dtype=np.float32)
    pictures, w, up = numbers(4, 32, 32, 64), numbers(3, 3, 64, 128), numbers(4, 16, 16, 128)
    same = (0, 1, 0, 1)  # 'same' for stride 2 on an even size
    out = numbers(4, 16, 16, 128)
    up_w, up_g = numbers(3, 3, 128, 64), numbers(4, 32, 32, 64)
    c = numbers(64)
    return {
        "sigmoid": (x,),
        "sigmoid_grad": (g, y),
        "tanh_grad": (g, y),
        "leaky_relu": (x, 0.2),
        "leaky_relu_grad": (g, x, 0.2),
        "adam": (p, numbers(1 << 20), m, v, 1e-3, 0.9, 0.999, 1e-8),
        "conv2d": (pictures, w, numbers(128), 2, same),
        "conv2d_grad_x": (out, w, (32, 32), 2, same),
        "conv2d_grad_w": (pictures, out, (3, 3), 2, same),
        "upsample_conv2d": (up, up_w, c),
        "upsample_conv2d_grad_x": (up_g, up_w),
        "upsample_conv2d_grad_w": (up, up_g),
        "channel_sum": (pictures,),
        "moments": (pictures,),
    }


def main() -> None:
    """Print a row for each kernel, and write the JSON file if asked to."""
    chosen = harness.options(__doc__)
    harness.header(chosen)
    results = []
    for name, arguments in calls().items():
        results.append(
            harness.compare(
                name,
                partial(getattr(kernels, name), *arguments),
                partial(getattr(reference, name), *arguments),
                reference_name="NumPy's meaning",
                threads=chosen.threads,
            )
        )
        print(results[-1], flush=True)
    harness.write(results, chosen.json)


if __name__ == "__main__":
    main()
