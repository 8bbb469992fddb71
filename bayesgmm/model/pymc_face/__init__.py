"""The same posterior as a PyMC model.

May import data and kernels, besides the model, and PyMC.
"""

from bayesgmm.kernels.folders import pytensor_folder

pytensor_folder()
