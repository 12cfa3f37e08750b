"""Pictures: files, degradations, patches, scores.

    files         pictures in files; every bad file is one clear line
    corruptions   noise, and lines of text
    patches       a picture as overlapping patches, and back; random patches for training
    scores        PSNR, SSIM, an estimate of the noise level, classical baselines to compare with
    noise         noise that depends on brightness, estimated and made equal everywhere
    samples       photographs with free licences, included in the dependencies

Pixels are float32 in [0, 1], pictures are (H, W, C) with C = 1 or 3, masks are bool (H, W) with
True where something is missing, and sigma is in grey levels of 255.
"""
