"""The dashboard of the workspace in this folder: `streamlit run app.py`, or `cdp app`.

CDP_WORKSPACE in the environment names another folder.
"""

import os
from pathlib import Path

from cdp_core.dashboard.main import main

main(os.environ.get("CDP_WORKSPACE") or Path(__file__).parent)
