"""How does an application with `setup` get along with other libraries?"""
