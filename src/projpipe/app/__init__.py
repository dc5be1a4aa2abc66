"""A page to play with: name classes, see a small model, show it a picture, take it along.

Whoever opens the page keeps nothing on the server: each answer is made of what the page sends with the question.
"""
