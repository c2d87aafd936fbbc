"""What else must a token grant, besides being valid, and does it grant that?"""
