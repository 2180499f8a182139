"""When things run: cron lines or systemd timers of the machine's own, or a scheduler in the foreground.

All start the command line in a process of its own, so a job that dies takes nothing with it, and the workspace's lock
keeps two runs apart.
"""
