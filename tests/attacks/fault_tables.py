"""The tests of each part of the code, and the faults that no test can see."""

from __future__ import annotations

# folder: the test files of all its files, in the order in which they run
TESTS: dict[str, str] = {
    "minidl": "tensor defaults changes op_properties files schema checkpoint descriptions device"
    " losses gradcheck gpu_graph gpu_random gpu_data ops nn modules ssda_training",
    "minidl/optim": "optim lbfgs defaults changes ssda_training",
    "minidl/ops": "ops defaults op_properties convolution tensor gradcheck nn losses",
    "minidl/nn": "nn defaults modules changes nn_layers gradcheck ssda context_encoder convolution",
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
    "models": "model_defaults run signals terminal zoo ssda_fit cli cli_refusals cli_odd"
    " cli_training context_encoder_training",
    "models/images": "model_defaults images noise restoring cli cli_refusals gpu_data",
    "models/ssda": "model_defaults ssda ssda_training ssda_fit restoring erasing cli"
    " cli_training cli_refusals reproduce_choices",
    "models/context_encoder": "model_defaults context_encoder masks membrane filling"
    " context_encoder_training context_encoder_beyond gpu_data context_encoder_reproduce"
    " cli_refusals",
    "models/context_encoder/networks": "model_defaults context_encoder context_encoder_training",
    "models/training": "model_defaults run ssda_fit context_encoder_training cli_training",
    "models/cli": "model_defaults cli_options cli cli_refusals cli_odd cli_training gpu_command"
    " filling noise context_encoder_training demo",
}

# file: its own test files, which run before those of its folder
NEAREST: dict[str, str] = {
    "minidl/checkpoint.py": "checkpoint",
    "minidl/device.py": "device gpu_random",
    "minidl/random.py": "device gpu_random",
    "minidl/gpu_support.py": "device",
    "minidl/gradcheck.py": "gradcheck",
    "minidl/gradcheck_cases.py": "gradcheck",
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
    "minidl/kernels/cpu/runtime/jobs.py": "threads",
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
    "minidl/kernels/cpu/gemm/blas_gemm.py": "matrix",
    "minidl/kernels/cpu/gemm/choice.py": "dense",
    "minidl/kernels/cpu/runtime/buffer_pool.py": "matrix nn_layers",
    "minidl/kernels/cpu/patches.py": "images",
    "minidl/kernels/cpu/gemm/register_tile.py": "simd",
    "minidl/kernels/gpu/convolution.py": "convolution",
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
    "models/context_encoder/blending.py": "filling",
    "models/training/loop.py": "ssda_fit context_encoder_training",
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

# path: {(the line in which a fault is planted, before, after): why no test can see it}
UNSEEN: dict[str, dict[tuple[str, str, str], str]] = {
    "minidl/changes.py": {
        ("clock = itertools.count(1)", "1", "2"): "the clock may begin at any number",
    },
    "minidl/tools/drawing/layout.py": {
        ("break", "break", "continue"): "a sweep changes nothing",
        ("SWEEPS", "12", "13"): "one more sweep changes little",
        ("far = [0.0]", "0.0", "1.0"): "it is less than the least gap",
        ("x = [0.0]", "0.0", "1.0"): "it is overwritten",
        ("_spread(row, widths, x, [0.0]", "0.0", "1.0"): "all boxes move alike",
        ("_spread(row, widths, x, [0.0]", "1.0", "1.5"): "equal weights may be any number",
        ("", "0.001", "0.0015"): "equal weights may be any number",
        ("downward = sweep % 2", "2", "3"): "other sweeps find as few crossings",
        ("for row in rows if sweep % 2", "2", "3"): "other sweeps find as good places",
        ("total = 0", "0", "1"): "one crossing more in all changes no comparison",
        (
            "while pools and pools[-1][0] > pool[0]",
            "pools[-1][0] > pool[0]",
            "pools[-1][0] >= pool[0]",
        ): "pools of one mean stay where they are",
    },
    "minidl/kernels/cpu/elementwise.py": {
        ("tiny = np.finfo(arrays[0]", "0", "1"): "all four arrays are of one type",
        ("T = arrays[0].dtype.type", "0", "1"): "all arrays are of one type",
        ("raise", "raise NotImplementedError", "pass"): "compiled code stands in for it",
    },
    "minidl/optim/descent.py": {
        ("raise", "raise NotImplementedError", "pass"): "each optimiser has its own",
    },
    "minidl/kernels/cpu/gemm/pack_filter.py": {
        ("if", "used < columns", "used <= columns"): "a full block is cleared before it is filled",
    },
    "minidl/kernels/cpu/runtime/jobs.py": {
        ("chunks of others", "_pause()", "pass"): "a hint to the processor",
        ("before the next look", "_pause()", "pass"): "a hint to the processor",
    },
    "minidl/kernels/cpu/runtime/threadpool.py": {
        (
            "wakeup.acquire()  #",
            "wakeup.acquire()",
            "pass",
        ): "a thread looks once more before it sleeps",
    },
    "minidl/kernels/cpu/conv/winograd_loops.py": {
        ("nothing, y_rows = zeros(width", "0", "1"): "all of them are written before they are read",
    },
    "minidl/kernels/cpu/conv/winograd.py": {
        ("length, work = blocks", "work * rows", "work / rows"): "fewer chunks change speed alone",
    },
    "minidl/nn/init.py": {
        ("def uniform", "0.0", "1.0"): "zeros have no range",
        ("def normal", "0.0", "1.0"): "zeros have no range",
        ("def uniform", "1.0", "1.5"): "zeros have no range",
        ("def normal", "1.0", "1.5"): "zeros have no range",
    },
    "minidl/tools/summary.py": {
        ("rule = ", "0", "1"): "all lines are of one length",
    },
    "models/training/run_folder.py": {
        ("", "0.0", "1.0"): "any finite number does",
    },
    "models/images/foreign.py": {
        ("", "1", "2"): "any level above the highest silences a log",
    },
    "models/images/noise.py": {
        ("", "brightness > 2 * even", "brightness >= 2 * even"): "a mean is hardly ever a limit",
        (
            "",
            "brightness < 1 - 2 * even",
            "brightness <= 1 - 2 * even",
        ): "a mean is hardly ever a limit",
        (
            "",
            "informative.mean() < MIN_INFORMATIVE_SHARE",
            "informative.mean() <= MIN_INFORMATIVE_SHARE",
        ): "a share is hardly ever the limit",
        ("", "21", "22"): "21 nodes are exact enough for so smooth a curve",
        ("", "1537", "1538"): "one more entry of a fine table",
        ("", "1025", "1026"): "one more entry of a fine table",
    },
    "models/context_encoder/texture_transfer.py": {
        ("", "1e-06", "1.5e-06"): "a floor for pixels under no patch, which keep their colour",
        (
            "",
            "_count(mask, side) > 0",
            "_count(mask, side) >= 0",
        ): "patches beside the hole change nothing in it",
    },
    "models/context_encoder/inpainter.py": {
        ("like = self.generator.parameters()[0]", "0", "1"): "every parameter has the same type",
    },
    "models/ssda/restorer.py": {
        ("", "1e-12", "1.5e-12"): "a floor for a weight that is 0",
    },
}
