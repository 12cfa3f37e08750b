"""The tests of each part of the code, and the faults that no test can see."""

from __future__ import annotations

# folder: the test files of all its files, in the order in which they run
TESTS: dict[str, str] = {
    "minidl": "tensor defaults changes op_properties files schema checkpoint descriptions device"
    " losses gradcheck gpu_graph gpu_random gpu_data ops nn modules ssda_training",
    "minidl/optim": "optim lbfgs defaults changes ssda_training",
    "minidl/ops": "ops defaults op_properties convolution tensor gradcheck nn losses",
    "minidl/nn": "nn defaults modules nn_layers gradcheck ssda context_encoder convolution",
    "minidl/kernels": "kernels kernels_odd matrix guards dense convolution gpu_kernels gpu_products"
    " gpu_compiles gpu_faults",
    "minidl/kernels/cpu": "kernels kernels_odd convolution matrix dense guards threads compiling"
    " simd nn_layers optim ops",
    "minidl/kernels/cpu/runtime": "threads compiling matrix kernels nn_layers",
    "minidl/kernels/cpu/gemm": "microkernel dense matrix convolution guards simd kernels",
    "minidl/kernels/cpu/conv": "convolution guards nn_layers kernels",
    "minidl/kernels/algorithms": "convolution dense",
    "minidl/kernels/gpu": "gpu_kernels gpu_products gpu_random gpu_cupy gpu_graph kernels_odd"
    " gpu_faults gpu_compiles",
    "minidl/tools": "nn_layers draw",
    "minidl/tools/drawing": "draw book",
    "models": "run signals terminal zoo ssda_fit cli cli_refusals cli_odd cli_training"
    " context_encoder_training",
    "models/images": "images noise restoring cli cli_refusals gpu_data",
    "models/ssda": "ssda ssda_training ssda_fit restoring erasing cli cli_training cli_refusals"
    " reproduce_choices",
    "models/context_encoder": "context_encoder masks membrane filling context_encoder_training"
    " context_encoder_beyond gpu_data context_encoder_reproduce cli_refusals",
    "models/context_encoder/networks": "context_encoder context_encoder_training",
    "models/training": "run ssda_fit context_encoder_training cli_training",
    "models/cli": "cli cli_refusals cli_odd cli_training gpu_command filling noise"
    " context_encoder_training demo",
}

# file: its own test files, which run before those of its folder
NEAREST: dict[str, str] = {
    "minidl/checkpoint.py": "checkpoint",
    "minidl/device.py": "device gpu_random",
    "minidl/gradcheck.py": "gradcheck",
    "minidl/cuda_graph.py": "gpu_graph",
    "minidl/losses.py": "losses",
    "minidl/changes.py": "changes",
    "minidl/lift.py": "tensor ops",
    "minidl/files.py": "files checkpoint run",
    "minidl/schema.py": "schema descriptions",
    "minidl/optim/lbfgs.py": "lbfgs",
    "minidl/ops/convolution.py": "convolution",
    "minidl/nn/module.py": "modules nn",
    "minidl/nn/lost.py": "modules",
    "minidl/kernels/cpu/runtime/parallel_for.py": "threads",
    "minidl/kernels/cpu/runtime/threadpool.py": "threads",
    "minidl/kernels/cpu/runtime/jit.py": "compiling",
    "minidl/kernels/cpu/convolution.py": "convolution",
    "minidl/kernels/cpu/conv/direct_loops.py": "convolution",
    "minidl/kernels/cpu/conv/winograd_loops.py": "convolution",
    "minidl/kernels/cpu/conv/winograd_stride2.py": "convolution",
    "minidl/kernels/cpu/conv/filter_transform.py": "convolution",
    "minidl/kernels/cpu/conv/winograd.py": "convolution",
    "minidl/kernels/cpu/upsampling.py": "convolution",
    "minidl/kernels/cpu/gemm/gemm.py": "dense",
    "minidl/kernels/cpu/gemm/macrokernel.py": "dense",
    "minidl/kernels/cpu/gemm/strassen.py": "dense",
    "minidl/kernels/cpu/matrix.py": "matrix",
    "minidl/kernels/cpu/gemm/blas.py": "matrix",
    "minidl/kernels/cpu/runtime/buffer_pool.py": "matrix nn_layers",
    "minidl/kernels/cpu/patches.py": "images",
    "minidl/kernels/cpu/gemm/register_tile.py": "simd",
    "minidl/kernels/gpu/philox.py": "gpu_random",
    "minidl/kernels/gpu/gemm.py": "gpu_products",
    "models/plots.py": "plots",
    "models/training/run_folder.py": "run",
    "models/zoo.py": "zoo",
    "models/images/noise.py": "noise",
    "models/ssda/trainer.py": "ssda_training",
    "models/ssda/training.py": "ssda_fit",
    "models/ssda/restorer.py": "restoring",
    "models/ssda/text_inpainting.py": "erasing",
    "models/context_encoder/masks.py": "masks",
    "models/context_encoder/laplace.py": "membrane",
    "models/context_encoder/inpainter.py": "filling",
    "models/context_encoder/windows.py": "filling",
    "models/context_encoder/texture_transfer.py": "filling",
    "models/context_encoder/global_local.py": "context_encoder_beyond",
    "models/context_encoder/trainer.py": "context_encoder_training",
    "models/context_encoder/training.py": "context_encoder_training",
    "models/context_encoder/data.py": "context_encoder_training gpu_data",
    "models/context_encoder/scores.py": "context_encoder_reproduce filling",
    "models/cli/demo.py": "demo",
    "models/cli/doctor.py": "cli gpu_command",
    "models/cli/train.py": "cli_training",
}

# (path, before, after) of a fault: why no test can see it
UNSEEN: dict[tuple[str, str, str], str] = {
    ("minidl/changes.py", "1", "2"): "the clock may begin at any number",
    ("minidl/tools/drawing/layout.py", "True", "False"): "zipped lists have equal lengths",
    ("minidl/tools/drawing/layout.py", "break", "continue"): "a sweep changes nothing",
    ("minidl/tools/drawing/layout.py", "12", "13"): "one more sweep changes little",
    ("minidl/optim/descent.py", "True", "False"): "the gradients have been counted before",
    ("minidl/kernels/checks.py", "True", "False"): "the picture's axes have been counted before",
    (
        "minidl/kernels/cpu/runtime/threadpool.py",
        "bed.acquire()",
        "pass",
    ): "a new thread looks at the board once more before it first sleeps",
    ("models/training/run_folder.py", "0.0", "1.0"): "any finite number does",
}
