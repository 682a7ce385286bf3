"""Two recordings beside each other: what each guest did (facts, course), which of it is the same (alignment), and what
explains the rest (comparison)."""
