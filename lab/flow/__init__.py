"""The stages of each command, one file for a group of commands, and the context they are handed.

A stage takes the value of the stage before and returns its own. It prints nothing, exits nothing and
reads no global; what it needs from outside comes in the context.
"""
