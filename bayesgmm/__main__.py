"""``python -m bayesgmm``."""

from bayesgmm.cli import main

if __name__ == "__main__":
    main()
