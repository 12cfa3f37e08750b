"""Convolutions: the direct algorithm, and Winograd's minimal filtering with fewer products."""
