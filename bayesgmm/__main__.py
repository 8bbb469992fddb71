"""The console script and ``python -m bayesgmm``: interruptions are watched before anything else is imported."""

from bayesgmm.interruption import watch

__all__ = ["main"]


def main() -> None:
    """Run the command line; once interrupted, it ends as `watch` says, whatever became of the exception."""
    watch.start()
    try:
        try:
            from bayesgmm.cli import main as run

            run()
        finally:
            watch.busy = False  # a signal ends at once from here on
    finally:
        watch.stop()


if __name__ == "__main__":
    main()
