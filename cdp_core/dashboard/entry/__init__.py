"""The script that Streamlit runs, away from `pages/`: it would take that folder for pages of its own."""
