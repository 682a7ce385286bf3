"""What the VMI calls mean: pure functions from a call, a View and the VMI state to effects.

Nothing here changes anything, reads a clock or knows a device; the machine looks up which entry point was called, builds
the `Call`, lets `table.perform` answer it and applies the effects. Section numbers are those of the VMI proposal of March
2006 (Appendix A) or of the Intel manual (SDM).
"""
