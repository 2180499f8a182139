"""What pages show, computed: plain functions of a workspace that give dataclasses and frames.

Each is one query (or a handful of aggregates) with its limit in the engine; none knows Streamlit.
"""
