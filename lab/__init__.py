"""Build a security home lab, attack it, and learn what was detected.

Start reading in `lab.pipeline`: it lists what each command does, in order.
"""

from importlib.metadata import version

__version__ = version("homerange")
