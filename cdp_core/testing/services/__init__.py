"""Stand-ins of services, on this machine: they answer as their documentation says, keep what they are sent, and fail
when they are told to. One file each; `base.py` has what they share.
"""
