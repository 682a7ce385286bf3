"""Registers by architecture, as gdb wants them described."""
