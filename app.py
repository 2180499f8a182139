"""The dashboard of the workspace in this folder: `cdp app`, or `streamlit run app.py`.

CDP_WORKSPACE in the environment names another folder.
"""

import os
from pathlib import Path

import streamlit as st

from cdp_core.dashboard import headers

os.environ.setdefault("CDP_WORKSPACE", str(Path(__file__).parent))
app = st.App(headers.SCRIPT, middleware=headers.hardened())
