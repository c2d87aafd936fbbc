"""A Hello World API that asks for access tokens, and the parts to build one's own."""
