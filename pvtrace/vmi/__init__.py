"""What the VMI calls mean: pure functions from a call, a View and the VMI state to effects.

Nothing here changes anything, reads a clock or knows a device. The machine looks up which entry point was called,
builds the `Call`, lets `table.perform` answer it and applies the effects. Sources: Appendix A of the VMI proposal of
March 2006, the interface 3.0 of Linux 2.6.21 to 2.6.36, and the Intel manual (SDM).
"""
