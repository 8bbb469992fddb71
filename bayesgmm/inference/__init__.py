"""From posterior modes to draws: which sampler runs, for how long, and what is done where it fails.

It never imports `posterior`: the judge of draws is handed in, and both know `Draws`. May import data, kernels, model,
em.
"""
