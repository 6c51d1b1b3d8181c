"""`wuxing` and `python -m services`: a process that a command starts imports this again, and nothing heavy with it."""


def main() -> None:
    """Run the command line and exit with the contract's code."""
    from services.cli import main as run

    run()


if __name__ == "__main__":
    main()
