"""The dashboard: `cdp app`."""

import os
from pathlib import Path

import streamlit as st

from cdp_core.dashboard import headers

os.environ.setdefault("CDP_WORKSPACE", str(Path(__file__).parent))
app = st.App(headers.SCRIPT, middleware=headers.hardened())
