"""The use cases of the admin page (SPEC "People"): models and prices, providers, people, how long what is kept. Whatever is changed here is
recorded with what stood there before and why, and refused where a colleague was faster.
"""
