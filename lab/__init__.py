"""Build a security home lab, attack it, and learn what was detected.

Start reading in `lab.pipeline`: it lists what each command does, in order.
"""

__version__ = "0.1.0"
