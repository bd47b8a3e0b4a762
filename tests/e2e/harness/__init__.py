"""What the end-to-end tests and the benches share: real servers, raw clients, and what /proc tells about them.

Only Python's standard library. COGI_BUILD names the build folder (default: build/ of this tree).
"""
