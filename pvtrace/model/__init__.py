"""The words of pvtrace: frozen values and protocols that every layer speaks.

Only the standard library may be imported here, and nothing here has behaviour beyond its own fields.
"""
