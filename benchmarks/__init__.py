"""Speed and memory, always beside a reference in the same run.

python -m benchmarks.kernels     every kernel
python -m benchmarks.training    whole training steps, and networks in use
python -m benchmarks.pictures    whole pictures, by size
python -m benchmarks.scaling     by batch, by size and by threads
python -m benchmarks.convolutions    on a GPU: both ways to a convolution
python -m benchmarks.page        several runs as one table and chart

`harness` times, `options` is the command line that they share, `charts` draws, `memory` measures
memory. What PyTorch is to compute stands in `torch_models`, `torch_steps`, `torch_pictures` and
`torch_kernels`, which are imported only where it is installed.
"""
