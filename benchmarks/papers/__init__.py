"""The papers' tables and figures, computed again and written as a page.

    python -m benchmarks.papers ssda --data DATA --out reproduced
    python -m benchmarks.papers context-encoder --data HELDOUT --train PHOTOS --out reproduced

data                pictures and digits, and the error for missing ones
report/             cache: results that are computed once and kept; page: tables and pictures as
                    HTML and as Markdown; sections: the assembly of a page
baselines/          K-SVD, for denoising and for inpainting
ssda/               paper 1: plan, quoted (numbers that others printed), and its sections
context_encoder/    paper 2, in the same order
publish_weights     a finished run as weights of the package, with a card
"""
