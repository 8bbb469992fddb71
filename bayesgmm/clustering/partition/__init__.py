"""One partition for the posterior, and its credible ball.

May import what clustering may.
"""
