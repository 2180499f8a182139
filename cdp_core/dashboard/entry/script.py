"""What Streamlit runs for every interaction: the dashboard of the folder CDP_WORKSPACE, or of this one."""

import os
from pathlib import Path

from cdp_core.dashboard.main import main

main(os.environ.get("CDP_WORKSPACE") or Path.cwd())
