"""A Hello World API that requires access tokens, and the parts to protect an API of your own."""
