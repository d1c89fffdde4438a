"""The key pairs of a lab: what is baked apart has to fit together. Gone once a node is baked.

`python3 -m lab_key NAME` prints the private key of a name.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tempfile


def private_key(name: str) -> str:
    """Return the private key of a name, as RFC 8410 writes Ed25519 keys.

    It follows from the name, so that nodes baked apart have the same pair. A lab has no secrets.
    """
    seed = hashlib.sha256(f"homerange key {name}".encode()).digest()
    body = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + seed).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def public_key(name: str) -> str:
    """Return the public half, as a line of `authorized_keys`."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(private_key(name))
        file.flush()
        ran = subprocess.run(
            ["/usr/bin/ssh-keygen", "-y", "-f", file.name], text=True, check=True, stdout=subprocess.PIPE
        )
    return f"{ran.stdout.strip()} {name}\n"


if __name__ == "__main__":
    sys.stdout.write(private_key(sys.argv[1]))
