"""What runs nodes. `base` is the contract; `docker` and `memory` keep it."""
