"""The console script and ``python -m bayesgmm``: interruptions are watched before anything else is imported."""

from bayesgmm.interruption import watch
from bayesgmm.visible import one_line

__all__ = ["main"]


def main() -> None:
    """Run the command line; once interrupted, it ends as `watch` says, whatever became of the exception."""
    watch.start()
    try:
        try:
            import warnings

            from bayesgmm.cli import main as run

            warnings.formatwarning = as_line
            run()
        finally:
            watch.busy = False  # a signal ends at once from here on
    finally:
        watch.stop()


def as_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning as the command line shows it, without the place in the source; none once it is interrupted."""
    return "" if watch.code else f"bayesgmm: {one_line(message)}\n"


if __name__ == "__main__":
    main()
