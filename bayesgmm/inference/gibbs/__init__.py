"""Data augmentation: Gibbs sampling of a mixture, with jumps between modes."""
