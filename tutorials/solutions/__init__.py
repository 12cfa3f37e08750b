"""One solution of every exercise, and mistakes that its tests must see."""
