"""`python -m cdp_core.cli`: the same as `cdp`."""

from cdp_core.cli import main

if __name__ == "__main__":
    main()
