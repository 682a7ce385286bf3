"""VMI ROM images: the table of calls (abi), where things are (layout, elf), and how to build, parse and find them.

Stands alone: it imports nothing of pvtrace, and works on bytes only.
"""
