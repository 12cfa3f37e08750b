"""The papers' tables and figures, worked out again and written as a page.

data        pictures and digits, and what it means that some are not there
parts       numbers that are worked out once, and kept
page        sections, tables and pictures as HTML and as Markdown
assembly    sections one after another, how they came about, files

ssda        paper 1 from table 1 to what it leaves out
plan        what to reproduce, on what, at what length
quoted      numbers that others have printed
denoising   table 1 and figure 2; ksvd, the dictionary method run beside it
text        figure 3, with the numbers that the paper does not give; ksvd_inpainting beside it
letters     text of other sizes and in colour; levels, noise of other levels and unknown noise
digits      table 2; features, its auto-encoders
insight     learned filters, the ablation, and what the paper leaves out; choices, their cost
"""
