"""What do the providers' tokens look like, and what does each get from the code on its page?"""
