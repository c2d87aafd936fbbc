"""Which rooms has the house?"""

# From the door inwards: each may import those on its right, and none on its left.
ORDER = ["run", "server", "app", "messages", "responses", "config", "logs", "auth"]
