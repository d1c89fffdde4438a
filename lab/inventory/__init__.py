"""An inventory is the lab: Ansible's groups and hosts, and what kinds of node there are."""
