"""Numbers from publications, to stand beside those that are computed here.

Xie      Xie, Xu & Chen, NIPS 2012: tables 1 and 2; noise not clipped, the list of pictures unknown
Burger   Burger, Schuler & Harmeling, CVPR 2012: sigma 25, for each picture
Zhang    Zhang, Zuo, Chen, Meng & Zhang, IEEE Transactions on Image Processing 2017 (DnCNN)
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

# PSNR in dB at sigma 25, 50, 100: mean and standard deviation over "Lena, Barbara, Boat, Peppers
# etc.". Xie, table 1.
XIE_NOISE = {
    "SSDA": ("30.52 ± 1.02", "27.37 ± 1.10", "24.18 ± 1.39"),
    "BLS-GSM": ("30.49 ± 1.17", "27.28 ± 1.44", "24.37 ± 1.36"),
    "K-SVD": ("30.96 ± 0.77", "27.34 ± 1.11", "23.50 ± 1.15"),
}

# dB at sigma 25 for Lena, Barbara, Boat, Peppers. Burger, table 1.
BURGER = {
    "BLS-GSM": (31.25, 27.83, 29.29, 29.49),
    "K-SVD": (31.30, 29.49, 29.24, 29.69),
    "BM3D": (32.04, 30.67, 29.86, 30.18),
    "MLP": (32.12, 29.21, 29.89, 30.25),
}

# Mean dB over all pictures of a collection at sigma 25, 50, 100.
COLLECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "set12": {
        "BM3D (measured on these, not in this run)": ("30.02", "26.78", "23.51"),
        "DnCNN-S (Zhang et al. 2017)": ("30.44", "27.18", "-"),
    },
    "bsd68": {
        "BM3D (Zhang et al. 2017)": ("28.57", "25.62", "-"),
        "MLP (Zhang et al. 2017)": ("28.96", "26.03", "-"),
        "DnCNN-S (Zhang et al. 2017)": ("29.23", "26.23", "-"),
    },
}

# Percent of digits that an SVM names rightly. Xie, table 2: rows are what the auto-encoder was
# trained on, columns what it was tested on, both in this order.
CORRUPTIONS = ("Gaussian", "salt and pepper", "image background")
XIE_DIGITS = {
    "Gaussian": ("91.42", "82.95", "86.45"),
    "salt and pepper": ("90.05", "90.14", "81.77"),
    "image background": ("84.88", "74.47", "86.87"),
}


def mean_std(values: Sequence[float], places: int = 2) -> str:
    """Return mean and sample standard deviation as text; of a single value, the value."""
    mean = f"{statistics.mean(values):.{places}f}"
    return f"{mean} ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else mean


def noise_rows(group: str) -> dict[str, tuple[str, str, str]]:
    """Return {method and source: dB at sigma 25, 50, 100} for "paper", "set12", "bsd68"."""
    if group != "paper":
        return COLLECTIONS[group]
    rows = {f"{name} (Xie et al. 2012, list unknown)": row for name, row in XIE_NOISE.items()}
    burger = {f"{n} (Burger et al. 2012)": (mean_std(v), "-", "-") for n, v in BURGER.items()}
    return rows | burger
