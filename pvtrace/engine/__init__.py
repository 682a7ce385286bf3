"""Unicorn behind the Cpu protocol: the only package that knows it. Semantics of instructions live in x86, not here."""
