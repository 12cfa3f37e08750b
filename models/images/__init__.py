"""Pictures: reading and writing them, spoiling them, cutting them into patches, scoring repairs.

    files         pictures in and out of files; every bad file is one clear line
    corruptions   noise, and text written over a picture line by line
    patches       a picture into overlapping patches and back; random patches for training
    scores        PSNR, SSIM, an estimate of the noise level, classical baselines to compare with
    noise         noise that changes with brightness, found and made the same everywhere
    samples       photographs with free licences that come with the dependencies

Pixels are float32 in [0, 1], pictures are (H, W, C) with C = 1 or 3, masks are bool (H, W) with
True where something is missing, and sigma is in grey levels of 255.
"""
