"""The labels that everything we make carries, named here and nowhere else.

What a running lab is can be read back from them alone: there is no state file.
"""

from __future__ import annotations

from typing import Final

LAB: Final = "homerange.lab"
"""Label: the lab a container or network belongs to. What lacks it is not ours and is left alone."""

NODE: Final = "homerange.node"
"""Label: the node a container is."""

NETWORK: Final = "homerange.network"
"""Label: the network of the lab that an engine's network is."""

KIND: Final = "homerange.kind"
"""Label: the node's kind."""

MACHINE: Final = "homerange.machine"
"""Label: bytes of memory of the virtual machine that a node is; on a container's there is none."""

DEFINITION: Final = "homerange.definition"
"""Label: hashes of all that was asked for; where one differs from today's, the thing has drifted."""

BAKING: Final = "homerange.baking"
"""Label: the role that is being baked in a throw-away container."""

HELPING: Final = "homerange.helping"
"""Label: the node that a throw-away container works on from outside."""

BAKED: Final = "homerange.baked"
"""Label: on images, the hash of what went in."""

BEFORE: Final = "homerange.before"
"""Label: on networks, what the host had before the lab was made, packed; see `lab.provision.receipt`."""

INVENTORY: Final = "homerange.inventory"
"""Label: on networks, the path of the inventory that defines the lab, so that a lab's name finds it."""

INTERNET: Final = "homerange.internet"
"""Label: on networks, `yes` when the inventory gives its nodes a way out."""

KVM: Final = "homerange.kvm"
"""Label: on images of machines, `yes` where KVM was seen to run one when the image was made."""

BASE: Final = "homerange.base"
"""Label: on images, what the image was built on, for people."""
