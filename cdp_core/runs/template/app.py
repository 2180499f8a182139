"""The dashboard: `cdp app`."""

from pathlib import Path

from cdp_core.dashboard.main import main

main(Path(__file__).parent)
