"""Proofs of a ledger: the Merkle tree, signed notes, the checkpoint. A library that knows schemas alone."""
