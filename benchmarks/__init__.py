"""Speed and memory, always measured beside a reference in the same run.

python -m benchmarks.kernels     every kernel
python -m benchmarks.training    whole training steps, and networks in use
python -m benchmarks.pictures    whole pictures, by size
python -m benchmarks.scaling     by batch, by size and by threads
python -m benchmarks.convolutions    on a GPU: both algorithms of a convolution
python -m benchmarks.page        several runs as one table and chart

`harness` times, `work` is a piece of work beside its counterpart, `options` is the shared command
line, `report` writes results, `charts` draws, `memory` measures memory. The counterparts in PyTorch
are in `torch_models`, `torch_steps`, `torch_pictures` and `torch_kernels`, which are imported only
if it is installed.
"""
